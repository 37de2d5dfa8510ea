"""Endpoints that reach the ingress late, as they do on large clusters: Contour stands still for some seconds each time.

On a quiet local cluster Envoy forgets a pod within milliseconds of its end, so a rollout loses no request even when
nothing guards it, and a test of the guards proves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bapsang_operator.build.api import PRE_STOP_SECONDS

from .conftest import Community
from .watching import Watch

CONTROL_PLANE = "bapsang-control-plane"
#: How long the API serves on after SIGTERM (`--drain-seconds`).
DRAIN_SECONDS = 5
#: Longer than the drain alone covers, shorter than preStop and drain together, with the same room on both sides.
LATE_SECONDS = DRAIN_SECONDS + PRE_STOP_SECONDS / 2
#: In which Contour catches up before it stands still again.
CATCH_UP_SECONDS = 1.5
#: Contour goes on by itself after this, also when the tests are killed while it stands still.
LIMIT_SECONDS = 240
_GUARD = "/run/bapsang-late.pid"

# Nothing but a shell is needed on the node: processes are found by their command line.
_FIND = r"""for each in /proc/[0-9]*; do
  [ "$(tr '\0' ' ' < "$each/cmdline" 2> /dev/null | cut -c 1-14)" = 'contour serve ' ] && echo "${each#/proc/}"
done; true"""


@contextmanager
def late_endpoints(community: Community, watch: Watch, seconds: float = LATE_SECONDS) -> Iterator[None]:
    """Let Envoy send to each pod that goes for `seconds` more (to one that goes while another one does: for less)."""
    docker = community.cluster.engine.docker

    def on_node(script: str, *more: str) -> str:
        return docker("exec", *more, CONTROL_PLANE, "sh", "-c", script)

    (contour,) = on_node(_FIND).split()
    ended = threading.Event()

    def keep_late() -> None:
        # What went while Contour caught up may have been missed, and waits no longer than the others either.
        told = time.monotonic()
        while not ended.is_set():
            watch.wait(lambda told=told: ended.is_set() or watch.first_gone(told) is not None, LIMIT_SECONDS)  # type: ignore[misc]
            due = (watch.first_gone(told) or told) + seconds
            ended.wait(max(0.0, due - time.monotonic()))
            told = time.monotonic()
            on_node(f"kill -CONT {contour}")
            if not ended.wait(CATCH_UP_SECONDS):
                on_node(f"kill -STOP {contour}")

    thread = threading.Thread(target=keep_late)
    on_node(f"echo $$ > {_GUARD}; sleep {LIMIT_SECONDS}; kill -CONT {contour}", "--detach")
    try:
        on_node(f"kill -STOP {contour}")
        thread.start()
        yield
    finally:
        ended.set()
        with watch.told:
            watch.told.notify_all()
        if thread.is_alive():
            thread.join()
        on_node(f"kill -CONT {contour}; kill $(cat {_GUARD})")
