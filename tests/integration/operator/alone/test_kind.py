"""The operator's own kind may go and come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.operator.client import Client, install_crd, remove_crd
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import COMMUNITY


@pytest.fixture
def own(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Operator]:
    found = Operator(control_plane.operator, tmp_path / "log")
    found.lead()
    yield found
    found.rest()


def _revived(operator: Operator) -> bool:
    """Start the process anew when it has ended, as the kubelet does, and tell whether it leads."""
    if not operator.runs:
        operator.launch()
    return operator.leads


def test_operator_ends_with_its_kind_and_works_again_once_that_is_back(own: Operator, client: Client) -> None:
    # Nobody else's Communities go with it: modules clear up after themselves.
    assert client.raw(COMMUNITY.path(None))["items"] == []
    remove_crd(client, "communities.bapsang.dev")
    try:
        assert own.wait() == 1
        assert 'task \\"watches\\" has ended' in own.log.read_text()
        own.launch()
    finally:
        install_crd(client)
    eventually(lambda: _revived(own), 60, "it leads again")
    namespace = Namespace(client)
    namespace.community()
    eventually(lambda: namespace.get("Service", "c-api"))
    namespace.leave()
