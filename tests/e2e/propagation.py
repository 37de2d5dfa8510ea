"""Endpoints that reach the ingress late, as they do on large clusters: Contour stands still for some seconds each time.

On a quiet local cluster Envoy forgets a pod within milliseconds of its end, so a rollout loses no request even when
nothing guards it, and a test of the guards proves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bapsang_local.cluster import Cluster

from .conftest import Community
from .watching import Watch

CONTROL_PLANE = "bapsang-control-plane"
#: In which Contour catches up before it stands still again.
CATCH_UP_SECONDS = 1.5
#: Contour goes on by itself after this, also when the tests are killed while it stands still.
LIMIT_SECONDS = 240
_GUARD = "/run/bapsang-late.pid"


def on_node(cluster: Cluster, script: str, *more: str) -> str:
    """Run a shell script on the node of the ingress."""
    return cluster.engine.docker("exec", *more, CONTROL_PLANE, "sh", "-c", script)


def process(cluster: Cluster, command: str) -> str:
    """Return the number of the process on that node whose command line begins so; nothing but a shell is needed there."""
    words = f"$(tr '\\0' ' ' < $each/cmdline 2> /dev/null | cut -c 1-{len(command)})"
    (found,) = on_node(
        cluster, f'for each in /proc/[0-9]*; do [ "{words}" = "{command}" ] && echo ${{each#/proc/}}; done; true'
    ).split()
    return found


@contextmanager
def late_endpoints(community: Community, watch: Watch, seconds: float) -> Iterator[None]:
    """Let Envoy send to each pod that goes for `seconds` more (to one that goes while another one does: for less)."""
    cluster = community.cluster
    contour = process(cluster, "contour serve ")
    ended = threading.Event()

    def keep_late() -> None:
        # What went while Contour caught up may have been missed, and waits no longer than the others either.
        told = time.monotonic()
        while not ended.is_set():
            watch.wait(lambda told=told: ended.is_set() or watch.first_gone(told) is not None, LIMIT_SECONDS)  # type: ignore[misc]
            due = (watch.first_gone(told) or told) + seconds
            ended.wait(max(0.0, due - time.monotonic()))
            told = time.monotonic()
            on_node(cluster, f"kill -CONT {contour}")
            if not ended.wait(CATCH_UP_SECONDS):
                on_node(cluster, f"kill -STOP {contour}")

    thread = threading.Thread(target=keep_late)
    on_node(cluster, f"echo $$ > {_GUARD}; sleep {LIMIT_SECONDS}; kill -CONT {contour}", "--detach")
    try:
        on_node(cluster, f"kill -STOP {contour}")
        thread.start()
        yield
    finally:
        ended.set()
        with watch.told:
            watch.told.notify_all()
        if thread.is_alive():
            thread.join()
        on_node(cluster, f"kill -CONT {contour}; kill $(cat {_GUARD})")
