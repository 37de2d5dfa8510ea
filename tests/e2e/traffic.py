"""Users who ask for the list through the ingress all the time, and what became of each request."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise

from bapsang_local.settings import Settings
from bapsang_local.smoke import Client

from .conftest import eventually

USERS = 8  # at once: fewer slip through the moment in which a pod goes, and the tests would prove nothing
#: Between a user's requests. All together send some 150 a second, which leaves the machine to what is tested.
PAUSE_SECONDS = 0.05
_REQUEST_ID = re.compile(r',?"requestId": ?"[^"]*"')


@dataclass(frozen=True, slots=True)
class Request:
    """One request: when it began and ended (monotonic seconds), and what was wrong with the answer, if anything."""

    began: float
    ended: float
    failure: str


@dataclass(slots=True)
class Traffic:
    """Asks again and again, and keeps what became of every request."""

    client: Client
    asked: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self.stopping.wait(PAUSE_SECONDS):
            began = time.monotonic()
            failure = ""
            try:
                answer = self.client.call("GET", "/api/v1/posts?size=1")
                if answer.status != 200:
                    failure = f"{answer.status} {answer.body.decode(errors='replace')[:200]}"
            except OSError as error:
                failure = repr(error)
            self.asked.append(Request(began, time.monotonic(), failure))

    @property
    def failed(self) -> list[str]:
        return [request.failure for request in list(self.asked) if request.failure]

    def longest_silence(self, since: float) -> float:
        """Return the longest time after `since` in which no request succeeded, in seconds."""
        served = sorted(request.ended for request in list(self.asked) if not request.failure and request.ended > since)
        return max((after - before for before, after in pairwise([since, *served])), default=0.0)


@contextmanager
def traffic(settings: Settings, host: str) -> Iterator[Traffic]:
    """Let USERS users ask; yields once their requests succeed."""
    source = Traffic(Client(settings.ingress_port, host=host))
    threads = [threading.Thread(target=source.run) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(source.asked) > 20 and not source.failed, 30, what="traffic flows")
        yield source
    finally:
        source.stopping.set()
        for thread in threads:
            thread.join()


def served(source: Traffic) -> None:
    """Fail unless every request succeeded, and tell what failed how often and when."""
    assert not source.failed, outcome(source)


def outcome(source: Traffic) -> str:
    """Return each kind of failure with its number and when it was met, in seconds since the first request of all."""
    asked = list(source.asked)
    start = min(request.began for request in asked)
    clock = datetime.fromtimestamp(time.time() - (time.monotonic() - start), UTC)
    failures: dict[str, list[Request]] = {}
    for request in asked:
        if request.failure:
            failures.setdefault(_REQUEST_ID.sub("", request.failure), []).append(request)
    rows = [
        f"  {len(found)} × {failure}: the first begun at {min(one.began for one in found) - start:.1f} s, "
        f"the last ended at {max(one.ended for one in found) - start:.1f} s"
        for failure, found in failures.items()
    ]
    head = f"{len(source.failed)} of {len(asked)} requests failed; 0 s is {clock:%H:%M:%S.%f} UTC"
    return "\n".join([head, *rows])
