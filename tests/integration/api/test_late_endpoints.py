"""A pod that goes while its load balancer does not know: the real process, ended as a kubelet ends the built pod.

A rollout, an eviction and a scale-in are one thing to a pod: its deletion. The times are those of the pod's own spec.
"""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.unit.operator import world as operator
from tests.waiting import eventually

from .process import Service, serving
from .world import API, Backend

Template = dict[str, Any]
DEFAULT: dict[str, Any] = {}
#: Connections of a load balancer: how many of a sort, whether it keeps them, and seconds between two requests on each.
SORTS = ((4, True, 0.05), (4, True, 1.0), (2, False, 0.05))
ANSWER_SECONDS = 30


@dataclass
class LoadBalancer:
    """Sends to one pod, on kept connections and on new ones, and retries nothing."""

    url: str
    asked: int = 0
    failed: list[tuple[float, str]] = field(default_factory=list)  # when each began, and what came of it
    over: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def sending(self) -> Iterator[None]:
        """Send until the end of the block; entered once requests flow."""
        threads = [threading.Thread(target=self._send, args=sort) for count, *sort in SORTS for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            eventually(lambda: self.asked > 5 * len(threads), 60, "requests flow")
            yield
        finally:
            self.over.set()
            for thread in threads:
                thread.join()

    def _send(self, keeps: bool, pause: float) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            while not self.over.wait(pause):
                began = time.monotonic()
                try:
                    connection.request("GET", f"{API}/posts?size=1")
                    answer = connection.getresponse()
                    answer.read()
                    failure = "" if answer.status == 200 else f"{answer.status}"
                except (OSError, http.client.HTTPException) as error:
                    failure = repr(error)
                self.asked += 1
                if failure:
                    self.failed.append((began, failure))
                if failure or not keeps:
                    connection.close()


def built(api: dict[str, Any]) -> Template:
    """Return the pod of the base tier of a Community with this `spec.api`, as its Deployment has it."""
    return operator.pod_templates(operator.children(operator.community(api=api)))["Deployment c-api-base"]["spec"]


def arguments(pod: Template) -> list[str]:
    """Return the container's arguments but for the address, which is the test's own."""
    command, *found = pod["containers"][0]["args"]
    assert command == "serve"
    pairs = zip(found[::2], found[1::2], strict=True)
    return [word for option, value in pairs if option not in {"--host", "--port"} for word in (option, value)]


def end(service: Service, pod: Template) -> int:
    """End the process of a deleted pod as a kubelet does: preStop, SIGTERM, and SIGKILL at the end of the grace."""
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    time.sleep(pre_stop)
    service.process.terminate()
    try:
        return service.wait(pod["terminationGracePeriodSeconds"] - pre_stop)
    except subprocess.TimeoutExpired:
        service.process.kill()
        return service.wait(10)


def meet_the_end(servers: Backend, folder: Path, api: dict[str, Any], late: float) -> list[tuple[float, str]]:
    """Delete a pod to which a load balancer sends for `late` seconds more.

    Returns which requests failed, and how many seconds after the deletion each began.
    """
    pod = built(api)
    folder.mkdir()
    with serving(folder, *arguments(pod), **servers.environment) as service:
        source = LoadBalancer(service.url)
        with source.sending(), ThreadPoolExecutor(1) as kubelet:
            assert not source.failed, source.failed
            deleted, asked = time.monotonic(), source.asked
            ended = kubelet.submit(end, service, pod)
            time.sleep(late)
            source.over.set()
            assert source.asked > asked + late, "requests went on"
            assert ended.result() == 0, "it ends by itself within its grace"
    return [(began - deleted, failure) for began, failure in source.failed]


def meet_all(servers: Backend, folder: Path, *cases: tuple[dict[str, Any], float]) -> list[list[tuple[float, str]]]:
    """Let several pods go at once, each with a load balancer of its own."""
    with ThreadPoolExecutor(len(cases)) as pool:
        ends = [pool.submit(meet_the_end, servers, folder / str(number), *case) for number, case in enumerate(cases)]
        return [one.result() for one in ends]


def test_no_request_fails_while_the_drain_lasts_and_some_do_after_it(servers: Backend, tmp_path: Path) -> None:
    """The same probe sees both: a drain longer than endpoints are late, and one of three seconds that is shorter."""
    kept, short = meet_all(servers, tmp_path, ({"drainSeconds": 7}, 5), ({"drainSeconds": 3}, 5))
    assert kept == []
    assert short, "a load balancer that is 5 s late must lose requests of a pod that drains for 3 s"
    assert min(after for after, _ in short) >= 3, short[:5]


@pytest.mark.nightly("api")
@pytest.mark.timeout(300)
def test_the_default_outlasts_endpoints_that_are_15_and_25_seconds_late(servers: Backend, tmp_path: Path) -> None:
    """And 70 s do 60; three seconds neither."""
    *kept, early, short = meet_all(
        servers,
        tmp_path,
        (DEFAULT, 15),
        (DEFAULT, 25),
        ({"drainSeconds": 70}, 60),
        ({"drainSeconds": 3}, 15),
        ({"drainSeconds": 3}, 25),
    )
    assert kept == [[], [], []]
    assert early
    assert short
