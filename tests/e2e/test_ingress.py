"""The ingress of the local cluster, which all other tests go through."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bapsang_local.cluster import Cluster
from bapsang_local.settings import Settings
from bapsang_local.smoke import Client

from .conftest import Community, eventually
from .propagation import on_node, process
from .reading import Reader
from .watching import is_ready

REQUESTS = 12
#: Between two requests: all together take longer than kube-proxy needs to learn of endpoints that are not ready.
PAUSE_SECONDS = 0.25
#: Envoy goes on by itself after this, also when the tests are killed meanwhile.
LIMIT_SECONDS = 60


@pytest.mark.nightly("e2e")
def test_an_envoy_that_missed_its_probes_keeps_its_users(
    cluster: Cluster, reader: Reader, sample: Community, settings: Settings
) -> None:
    """On a busy machine Envoy stands still for some seconds now and then; it is the only one, so nobody else could serve."""
    client = Client(settings.ingress_port, host=sample.host)
    envoy = process(cluster, "envoy -c ")

    def ready() -> bool:
        (pod,) = reader.items("pods", "projectcontour", labels="app=contour")
        return is_ready(pod)

    def ask(turn: int) -> int:
        time.sleep(turn * PAUSE_SECONDS)
        return client.call("GET", "/api/v1/health").status

    on_node(cluster, f"sleep {LIMIT_SECONDS}; kill -CONT {envoy}", "--detach")
    with ThreadPoolExecutor(REQUESTS + 1) as users:
        on_node(cluster, f"kill -STOP {envoy}")
        try:
            eventually(lambda: not ready(), 30, what="its probes fail")
            asked = [users.submit(ask, turn) for turn in range(REQUESTS)]
            # It goes on when the last of them has been sent: none has an answer before, unless it was refused.
            users.submit(time.sleep, REQUESTS * PAUSE_SECONDS).result()
        finally:
            on_node(cluster, f"kill -CONT {envoy}")
        assert [one.result() for one in asked] == [200] * REQUESTS
    eventually(ready, 30, what="it is ready again")
