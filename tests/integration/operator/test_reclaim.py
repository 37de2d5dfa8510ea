"""Spot nodes are reclaimed at the peak, in real time: everything is real but the kubelets, which kwok plays.

Pods take all of their grace, which no pod does that has nothing in flight.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.load import fleet
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import COMMUNITY, Kind

from .process import Operator
from .reclaim import END, HEADROOM, STORES, World

PRIORITY_CLASS = Kind("PriorityClass", "scheduling.k8s.io", "v1", "priorityclasses")
KEPT, ONE_BUDGET, LONG_DRAIN = "kept", "one-budget", "long-drain"

pytestmark = [pytest.mark.nightly("operator"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    """Three Communities at once, each on nodes of its own, after the reclaim."""
    folder = tmp_path_factory.mktemp("reclaim")
    (folder / "end.yaml").write_text(END)
    with fleet.standing(folder, folder / "end.yaml") as cluster:
        made = {"metadata": {"name": names.HEADROOM_PRIORITY_CLASS}, "value": -10, "preemptionPolicy": "Never"}
        assert cluster.client.create(PRIORITY_CLASS, made).is_success
        found = {
            name: World(cluster, name, {"drainSeconds": 110} if name == LONG_DRAIN else {})
            for name in (KEPT, ONE_BUDGET, LONG_DRAIN)
        }
        operator = Operator(cluster.plane.operator, folder / "operator.log", {"BAPSANG_RESYNC_SECONDS": "30"})
        operator.lead()
        for world in found.values():
            world.install()
        for world in found.values():
            eventually(world.is_whole, 180, f"{world.name} is at its peak", pause=1)
        found[ONE_BUDGET].one_budget()
        for world in found.values():
            world.before = world.staying()
        with ThreadPoolExecutor(len(found)) as pool:
            list(pool.map(lambda world: world.reclaim(folder), found.values()))
        yield found
        operator.rest()


def test_every_pod_of_four_reclaimed_nodes_leaves_in_order_within_the_notice(worlds: dict[str, World]) -> None:
    world = worlds[KEPT]
    assert len(world.notices) == 4
    assert len(world.pods) == 8
    assert world.late() == []
    assert world.refused == 0, "no budget holds up a pod that is going to be killed"
    for name, pod in world.pods.items():
        order = (pod.deleted, pod.silent, pod.term, pod.grace_ends, pod.gone)
        assert None not in order, (name, pod)
        assert pod.silent < pod.term, f"{name}: its endpoint is there when it is told to end"
        assert sorted(order) == list(order), (name, pod)


def test_base_and_stores_stay_and_burst_comes_up_on_other_nodes(worlds: dict[str, World]) -> None:
    world = worlds[KEPT]
    assert world.early == world.burst - len(world.pods) + HEADROOM, "placeholders give way before new nodes come"
    eventually(world.is_whole, 60, "replacements and head room are there", pause=1)
    assert world.staying() == world.before
    for part in ("base", "burst", "headroom", *STORES):
        assert not {pod["spec"]["nodeName"] for pod in world.serving(part).values()} & set(world.notices)


def test_one_budget_over_both_tiers_lets_pods_be_killed_with_their_nodes(worlds: dict[str, World]) -> None:
    assert worlds[ONE_BUDGET].refused
    assert worlds[ONE_BUDGET].late()


def test_a_drain_longer_than_the_notice_lets_pods_be_killed_and_is_told(worlds: dict[str, World]) -> None:
    world = worlds[LONG_DRAIN]
    assert world.late() == sorted(world.pods)
    status = (world.fleet.client.get(COMMUNITY, world.name, world.community) or {})["status"]
    (told,) = (one["message"] for one in status["conditions"] if one["type"] == "Degraded")
    assert "drainSeconds is 110" in told
