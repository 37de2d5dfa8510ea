"""Watches that the apiserver breaks: the operator lives on, and what was deleted meanwhile is noticed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.integration.operator.client import Client
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.faults import Proxy
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import WATCHED

#: Of each kind: beyond the growing pauses between attempts, where etcd has found a new leader.
ATTEMPTS = 5
KINDS = len(WATCHED) + 1  # Communities, too


@pytest.fixture(scope="module")
def proxy(control_plane: ControlPlane) -> Iterator[Proxy]:
    with Proxy(control_plane.operator) as found:
        yield found


@pytest.fixture(scope="module")
def behind(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator behind the proxy."""
    folder = tmp_path_factory.mktemp("watches")
    # Rarely enough that no look by the clock repairs what a broken watch has missed.
    seconds = {"BAPSANG_RESYNC_SECONDS": "600"}
    found = Operator(proxy.kubeconfig(folder / "kubeconfig"), folder / "operator.log", seconds)
    found.lead()
    yield found
    found.rest()


@pytest.fixture(scope="module")
def up(behind: Operator, client: Client) -> Iterator[Namespace]:
    found = Namespace(client)
    found.community()
    found.bring_up()
    yield found
    found.leave()


#: An error of the last sort ends the watches of all kinds, which would give the others no time to fail for long.
@pytest.mark.parametrize("what", [("500", "403", "error 410"), ("error 500",)], ids=" and ".join)
def test_operator_outlives_watches_that_fail_for_long(
    behind: Operator, proxy: Proxy, up: Namespace, what: tuple[str, ...]
) -> None:
    proxy.break_watches(*what)
    wanted = ATTEMPTS * KINDS // len(what)
    eventually(lambda: all(proxy.broken[one] >= wanted for one in what), 120, f"{wanted} failures of each sort")
    assert behind.runs, behind.log.read_text()[-3000:]
    up.delete("Service", "c-api")
    proxy.break_watches()
    eventually(lambda: up.get("Service", "c-api"), 60, "the Service is back")
    assert behind.runs, behind.log.read_text()[-3000:]
