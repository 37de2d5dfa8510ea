"""A Community's API pods as they come and go, by a watch: what polling sees only now and then."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TextIO

from .conftest import Community, eventually

API = "app.kubernetes.io/component=api"


@dataclass(slots=True)
class Watch:
    """The newest state of each pod; `fewest` is the lowest number of pods that had become ready and stayed, at any moment.

    It takes no notice of a pod that misses a probe: a busy machine is no disruption, and the budget does not decide on it.
    """

    #: Replaced as a whole by each event, so that it may be read at any moment.
    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    #: When each pod was first seen on its way out, in monotonic seconds.
    went: dict[str, float] = field(default_factory=dict)
    were_ready: set[str] = field(default_factory=set)
    fewest: int = 1_000_000
    told: threading.Condition = field(default_factory=threading.Condition)

    def follow(self, lines: TextIO) -> None:
        for line in lines:
            if not line.endswith("\n"):
                return  # cut off: the process was ended while it wrote
            event = json.loads(line)
            with self.told:
                self._take(event["type"], event["object"])
                self.told.notify_all()

    def _take(self, kind: str, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        if kind == "DELETED":
            self.pods = {other: kept for other, kept in self.pods.items() if other != name}
            self.went.setdefault(name, time.monotonic())
        else:
            self.pods = {**self.pods, name: pod}
            if is_going(pod):
                self.went.setdefault(name, time.monotonic())
            elif is_ready(pod):
                self.were_ready.add(name)
        self.fewest = min(self.fewest, self.staying())

    def staying(self) -> int:
        return sum(name in self.were_ready and not is_going(pod) for name, pod in self.pods.items())

    def serving(self) -> int:
        return sum(is_ready(pod) and not is_going(pod) for pod in self.pods.values())

    def first_gone(self, since: float) -> float | None:
        """Return when the first pod after `since` was seen on its way out."""
        return min((when for when in self.went.values() if when >= since), default=None)

    def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until `holds`, asked after each event."""
        with self.told:
            return self.told.wait_for(holds, seconds)


def is_going(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@contextmanager
def watching(community: Community) -> Iterator[Watch]:
    """Watch the API pods of a Community; yields once the pods that are there are known."""
    watch = Watch()
    selector = f"bapsang.dev/community={community.name},{API}"
    arguments = ("get", "pods", "-n", community.namespace, "-l", selector, "--watch", "--output-watch-events")
    with community.cluster.following(*arguments, "-o", "json") as process:
        thread = threading.Thread(target=watch.follow, args=(process.stdout,))
        thread.start()
        try:
            # Counted anew each time: one that was on its way out may have gone before the watch began.
            eventually(lambda: len(watch.pods) >= len(community.items("pods", API)), 60, what="the watch knows all")
            watch.fewest = watch.staying()
            yield watch
        finally:
            # What is closed under a thread that still reads it breaks there.
            process.terminate()
            thread.join()
