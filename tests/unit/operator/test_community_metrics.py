"""Series about Communities: how many there can be, and what a status of another version does to them."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from bapsang_operator.community_metrics import CommunityMetrics, Live
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType
from bapsang_operator.resource.status import STATUS


def _samples(*found: Live) -> list[tuple[str, tuple[str, ...]]]:
    registry = CollectorRegistry()
    registry.register(CommunityMetrics(lambda: found))
    return [(one.name, tuple(one.labels.values())) for family in registry.collect() for one in family.samples]


def _live(name: str, **status: object) -> Live:
    community: Manifest = {"metadata": {"namespace": "shop", "name": name}, "status": status}
    return Live(community, None)


def _condition(kind: str) -> Manifest:
    return {"type": kind, "status": "True", "reason": "Because"}


def test_conditions_of_another_version_and_amounts_that_are_none_are_left_out() -> None:
    odd = _live("c", conditions=[_condition("Ready"), _condition("Brewed")], cost={"monthlyUSD": "1,234.50 USD"})
    assert _samples(odd, Live({"metadata": {"namespace": "shop", "name": "d"}}, {"status": {}})) == [
        ("bapsang_community_condition", ("shop", "c", "Ready", "True", "Because")),
        *(("bapsang_community_replicas", ("shop", name, tier)) for name in "cd" for tier in ("base", "burst")),
    ]


def test_a_community_has_a_bounded_number_of_series() -> None:
    """The CRD makes types unique in a status."""
    assert STATUS["properties"]["conditions"]["x-kubernetes-list-map-keys"] == ["type"]
    conditions = [_condition(kind) for kind in ConditionType]
    full = _live("c", conditions=conditions, cost={"monthlyUSD": "12.00"})
    full = Live(full.community, {"status": {"lastSuccessfulTime": "2026-11-30T08:00:00Z"}})
    assert len(_samples(full)) == len(ConditionType) + 4
