"""Watches that the apiserver breaks: the operator lives on, and what was deleted meanwhile is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.waiting import eventually

from .controlplane import ControlPlane
from .faults import Proxy
from .world import Client, Namespace, Operator

#: Six for each kind: more than etcd needs to find a new leader.
ATTEMPTS = 13 * 6


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    found = Proxy(control_plane.operator)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def behind(
    operator: Operator, proxy: Proxy, client: Client, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator behind the proxy; the suite's own rests meanwhile."""
    operator.stop()
    folder = tmp_path_factory.mktemp("watches")
    # Rarely enough that no look by the clock repairs what a broken watch has missed.
    seconds = {"BAPSANG_RESYNC_SECONDS": "30"}
    found = Operator(proxy.kubeconfig(folder / "kubeconfig"), folder / "operator.log", seconds)
    found.start()
    eventually(lambda: found.leads, 40)
    yield found
    assert found.stop() == 0
    operator.start()
    eventually(lambda: operator.leads, 40)


@pytest.mark.parametrize("what", ["500", "403", "error 410", "error 500"])
def test_operator_outlives_watches_that_fail_for_long(
    behind: Operator, proxy: Proxy, namespace: Namespace, what: str
) -> None:
    namespace.community()
    namespace.bring_up()
    proxy.break_watches(what)
    eventually(lambda: proxy.broken >= ATTEMPTS, 90, f"{ATTEMPTS} failed watches")
    assert behind.process is not None
    assert behind.process.poll() is None, behind.log.read_text()[-3000:]
    namespace.delete("Service", "c-api")
    proxy.break_watches(None)
    eventually(lambda: namespace.get("Service", "c-api"), 60, "the Service is back")
    assert behind.process.poll() is None
