"""Several operators, one writer: clean and unclean ends, a process that sleeps, and what the audit log says of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator.kinds import LEASE

from .controlplane import OPERATOR_NAMESPACE, ControlPlane
from .world import Client, Namespace, Operator

WRITES = {"create", "update", "patch", "delete"}


@pytest.fixture
def second(control_plane: ControlPlane, operator: Operator, tmp_path: Path) -> Iterator[Operator]:
    """An operator that waits while `operator` leads; afterwards, `operator` runs and leads again."""
    found = Operator(control_plane.operator, tmp_path / "second.log")
    found.start()
    assert not found.leads
    yield found
    found.stop()
    if operator.process is None or operator.process.poll() is not None:
        operator.start()
    eventually(lambda: operator.leads, 30, "the first one leads again")


def _lease(client: Client) -> dict[str, Any]:
    found = client.get(LEASE, OPERATOR_NAMESPACE, "bapsang-operator")
    assert found is not None
    return found


def _children_writes(plane: ControlPlane) -> list[dict[str, Any]]:
    """Return the operators' writes that were answered with success, the lease aside."""
    return [
        event
        for event in plane.audited()
        if event["verb"] in WRITES
        and event["objectRef"]["resource"] != LEASE.plural
        and event["responseStatus"]["code"] < 300
    ]


def _terms(plane: ControlPlane) -> list[tuple[str, str]]:
    """Return who took the lease and when, in order: each first successful write of it by another process."""
    taken: list[tuple[str, str]] = []
    for event in plane.audited():
        if event["verb"] in WRITES and event["objectRef"]["resource"] == LEASE.plural:
            agent, at = event["userAgent"], event["stageTimestamp"]
            if event["responseStatus"]["code"] < 300 and (not taken or taken[-1][0] != agent):
                taken.append((agent, at))
    return taken


def assert_one_writer(plane: ControlPlane) -> None:
    """Every write came, by the apiserver's own clock, from the process that held the lease at that time."""
    terms = _terms(plane)
    for event in _children_writes(plane):
        for moment in (event["requestReceivedTimestamp"], event["stageTimestamp"]):
            holder = [agent for agent, since in terms if since <= moment][-1]
            assert event["userAgent"] == holder, event


def _edit(namespace: Namespace) -> float:
    """Damage a child; returns the time."""
    namespace.patch("Service", "c-api", {"spec": {"selector": {"app": "other"}}})
    return time.monotonic()


def _restored(namespace: Namespace, within: float) -> None:
    def is_restored() -> bool:
        return "app" not in (namespace.get("Service", "c-api") or {})["spec"]["selector"]

    eventually(is_restored, within, "the child is restored")


def test_clean_end_hands_the_lease_over(
    namespace: Namespace, control_plane: ControlPlane, operator: Operator, second: Operator
) -> None:
    namespace.community()
    namespace.bring_up()
    operator.signal(signal.SIGTERM)
    _edit(namespace)
    # Long before the lease would run out; `make bench-operator` tells how long it takes on a quiet machine.
    _restored(namespace, 8)
    assert second.leads
    assert operator.wait() == 0
    assert_one_writer(control_plane)


def test_killed_leader_is_followed_when_its_lease_has_run_out(
    namespace: Namespace, control_plane: ControlPlane, operator: Operator, second: Operator
) -> None:
    namespace.community()
    namespace.bring_up()
    operator.signal(signal.SIGKILL)
    _edit(namespace)
    _restored(namespace, 30)
    assert second.leads
    assert_one_writer(control_plane)


def test_leader_that_slept_never_writes_after_waking_and_ends(
    namespace: Namespace, control_plane: ControlPlane, operator: Operator, second: Operator
) -> None:
    namespace.community()
    namespace.bring_up()
    # Work in hand at the moment of falling asleep, and more of it waiting at the moment of waking.
    _edit(namespace)
    operator.signal(signal.SIGSTOP)
    try:
        eventually(lambda: second.leads, 40, "the second one leads")
        for _ in range(5):
            _edit(namespace)
            _restored(namespace, 20)
        slept = time.monotonic()
        eventually(lambda: time.monotonic() - slept > 12)
        _edit(namespace)
    finally:
        operator.signal(signal.SIGCONT)
    assert operator.wait() == 1
    assert "lease lost" in operator.log.read_text()
    _restored(namespace, 20)
    assert_one_writer(control_plane)


def test_leader_whose_lease_was_taken_ends(client: Client, operator: Operator, second: Operator) -> None:
    found = _lease(client)
    found["spec"]["holderIdentity"] = "somebody-else"
    client.replace(LEASE, found)
    assert operator.wait() == 1
    assert "another process has taken the lease" in operator.log.read_text()
    eventually(lambda: second.leads, 40)


def test_container_that_starts_again_does_not_take_itself_for_the_holder(client: Client, operator: Operator) -> None:
    before = _lease(client)["spec"]
    operator.end()
    operator.start()
    assert not operator.leads
    eventually(lambda: operator.leads, 40)
    after = _lease(client)["spec"]
    assert after["holderIdentity"] != before["holderIdentity"]
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1


def test_waiting_operator_is_alive_and_ready_and_counts_no_queue(second: Operator) -> None:
    assert second.admin("/livez").status_code == 200
    assert second.admin("/readyz").status_code == 200
    assert "bapsang_operator_queue_depth 0.0" in second.admin("/metrics").text
    assert second.writes() == 0
