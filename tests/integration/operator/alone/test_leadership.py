"""Several operators, one writer: clean and unclean ends, a process that sleeps, and what the audit log says of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.operator.client import BINDINGS, ROLES, Client, bind, rules
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import LEASE

WRITES = {"create", "update", "patch", "delete"}
#: A lease that runs out soon, and one that outlasts every deadline here: who takes that over was given it.
SHORT = {"BAPSANG_LEASE_SECONDS": "8", "BAPSANG_LEASE_RENEW_SECONDS": "5", "BAPSANG_LEASE_RETRY_SECONDS": "1"}
LONG = {"BAPSANG_LEASE_SECONDS": "600", "BAPSANG_LEASE_RENEW_SECONDS": "400", "BAPSANG_LEASE_RETRY_SECONDS": "1"}


class Pair:
    """Two operators of one lease, in the namespace of a Community that serves."""

    def __init__(self, kubeconfig: Path, namespace: Namespace, folder: Path) -> None:
        self.namespace = namespace
        self._both = [Operator(kubeconfig, folder / f"{number}.log") for number in range(2)]

    def run(self, lease: dict[str, str]) -> tuple[Operator, Operator]:
        """Let both run with these times of the lease; return the one that leads and the one that waits."""
        for one in self._both:
            if one.runs and not lease.items() <= one.settings.items():
                one.rest()
            one.settings = {"BAPSANG_NAMESPACE": self.namespace.name, **lease}
            if not one.runs:
                one.start()
        eventually(lambda: any(one.leads for one in self._both), 60, "one leads")
        waiting, leading = sorted(self._both, key=lambda one: one.leads)
        assert not waiting.leads
        return leading, waiting

    def rest(self) -> None:
        for one in self._both:
            one.rest()


@pytest.fixture(scope="module")
def pair(control_plane: ControlPlane, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    namespace = Namespace(client)
    bind(client, ROLES, BINDINGS, namespace.name, rules(namespaced=True))
    found = Pair(control_plane.operator, namespace, tmp_path_factory.mktemp("leadership"))
    found.run(LONG)
    namespace.community()
    namespace.bring_up()
    yield found
    found.rest()
    namespace.leave()


def _lease(client: Client, pair: Pair) -> dict[str, Any]:
    found = client.get(LEASE, pair.namespace.name, "bapsang-operator")
    assert found is not None
    return found


def assert_one_writer(plane: ControlPlane, pair: Pair) -> None:
    """Every write came, by the apiserver's own clock, from the process that held the lease at that time."""
    terms: list[tuple[str, str]] = []  # who took the lease, and when
    writes = []
    for event in plane.audited():
        what, agent = event["objectRef"], event["userAgent"]
        is_write = event["verb"] in WRITES and event["responseStatus"]["code"] < 300
        if not is_write or what.get("namespace") != pair.namespace.name:
            continue
        if what["resource"] != LEASE.plural:
            writes.append(event)
        elif not terms or terms[-1][0] != agent:
            terms.append((agent, event["stageTimestamp"]))
    assert writes
    for event in writes:
        for moment in (event["requestReceivedTimestamp"], event["stageTimestamp"]):
            holder = [agent for agent, since in terms if since <= moment][-1]
            assert event["userAgent"] == holder, event


def _edit(namespace: Namespace) -> None:
    """Damage a child."""
    namespace.patch("Service", "c-api", {"spec": {"selector": {"app": "other"}}})


def _restored(namespace: Namespace) -> None:
    def is_restored() -> bool:
        return "app" not in (namespace.get("Service", "c-api") or {})["spec"]["selector"]

    eventually(is_restored, 60, "the child is restored")


def test_waiting_operator_is_alive_and_ready_and_leaves_communities_to_the_leader(pair: Pair) -> None:
    leading, waiting = pair.run(LONG)
    assert waiting.admin("/livez").status_code == 200
    assert waiting.admin("/readyz").status_code == 200
    assert "bapsang_operator_queue_depth 0.0" in waiting.admin("/metrics").text
    assert waiting.writes() == 0
    # Of each Community one series, whatever the number of replicas.
    series = f'bapsang_community_replicas{{name="c",namespace="{pair.namespace.name}",tier="base"}}'
    assert series in leading.admin("/metrics").text
    assert "bapsang_community_replicas{" not in waiting.admin("/metrics").text


def test_waiting_operator_says_once_whom_it_waits_for(client: Client, pair: Pair) -> None:
    _, waiting = pair.run(LONG)
    holder = _lease(client, pair)["spec"]["holderIdentity"]
    lines = [json.loads(line) for line in waiting.log.read_text().splitlines()]
    told = [line["holder"] for line in lines if line["message"] == "waiting for the lease"]
    assert told.count(holder) == 1


def test_clean_end_hands_the_lease_over(control_plane: ControlPlane, pair: Pair) -> None:
    # `make bench-operator` tells how long it takes on a quiet machine.
    leading, waiting = pair.run(LONG)
    leading.signal(signal.SIGTERM)
    _edit(pair.namespace)
    _restored(pair.namespace)
    assert waiting.leads
    assert leading.wait() == 0
    assert_one_writer(control_plane, pair)


def test_killed_leader_is_followed_when_its_lease_has_run_out_even_by_the_same_container(
    client: Client, control_plane: ControlPlane, pair: Pair
) -> None:
    """A container that starts again must not take itself for the holder."""
    leading, _ = pair.run(SHORT)
    before = _lease(client, pair)["spec"]
    leading.end()
    _edit(pair.namespace)
    leading.launch()
    _restored(pair.namespace)
    after = _lease(client, pair)["spec"]
    assert after["holderIdentity"] != before["holderIdentity"]
    assert after["leaseTransitions"] == before["leaseTransitions"] + 1
    assert_one_writer(control_plane, pair)


def test_leader_that_slept_never_writes_after_waking_and_ends(control_plane: ControlPlane, pair: Pair) -> None:
    leading, waiting = pair.run(SHORT)
    # Work in hand at the moment of falling asleep, and more of it waiting at the moment of waking.
    _edit(pair.namespace)
    leading.signal(signal.SIGSTOP)
    try:
        eventually(lambda: waiting.leads, 60, "the second one leads")
        for _ in range(5):
            _edit(pair.namespace)
            _restored(pair.namespace)
        _edit(pair.namespace)
    finally:
        leading.signal(signal.SIGCONT)
    assert leading.wait() == 1
    assert "lease lost" in leading.log.read_text()
    _restored(pair.namespace)
    assert_one_writer(control_plane, pair)


def test_leader_whose_lease_was_taken_ends(client: Client, pair: Pair) -> None:
    leading, waiting = pair.run(SHORT)
    found = _lease(client, pair)
    found["spec"] |= {"holderIdentity": "somebody-else", "leaseDurationSeconds": 1}

    def is_taken() -> bool:
        found["metadata"]["resourceVersion"] = _lease(client, pair)["metadata"]["resourceVersion"]
        return client.replace(LEASE, found).is_success

    eventually(is_taken, what="taken between two renewals")
    assert leading.wait() == 1
    assert "another process has taken the lease" in leading.log.read_text()
    eventually(lambda: waiting.leads, 60, "the second one leads")
