"""Series about a Community on the operator's /metrics: they say what its status says, and end with it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from tests.waiting import eventually

from .namespace import Namespace
from .process import Operator

Series = dict[tuple[str, ...], float]
SYNCED = "2026-11-30T08:00:00Z"
SYNCED_SECONDS = 1_796_025_600


def _series(operator: Operator, namespace: Namespace, metric: str, *labels: str) -> Series:
    """Return the samples of a metric about a namespace, by name and the labels given."""
    found: Series = {}
    for family in text_string_to_metric_families(operator.admin("/metrics").text):
        for sample in family.samples:
            if sample.name == f"bapsang_community_{metric}" and sample.labels["namespace"] == namespace.name:
                assert sample.labels.keys() == {"namespace", "name", *labels}
                key = tuple(sample.labels[label] for label in ("name", *labels))
                assert key not in found
                found[key] = sample.value
    return found


def _conditions(operator: Operator, namespace: Namespace) -> dict[tuple[str, ...], str]:
    found = _series(operator, namespace, "condition", "type", "status", "reason")
    assert set(found.values()) <= {1}
    return {(name, kind): f"{status} {reason}" for name, kind, status, reason in found}


def test_series_of_a_community_follow_it_and_end_with_it(namespace: Namespace, operator: Operator) -> None:
    namespace.community("a", estate={})
    namespace.community("b")
    for name in ("a", "b"):
        namespace.settle(name)
    told = _conditions(operator, namespace)
    status = (namespace.get("Community", "a") or {})["status"]
    for condition in status["conditions"]:
        assert told["a", condition["type"]] == f"{condition['status']} {condition['reason']}"
    assert {kind for name, kind in told if name == "a"} == {condition["type"] for condition in status["conditions"]}
    assert _series(operator, namespace, "replicas", "tier") == {
        **{("a", "base"): 2, ("a", "burst"): 1},
        **{("b", "base"): 2, ("b", "burst"): 1},
    }
    assert _series(operator, namespace, "monthly_cost_usd") == {("a",): float(status["cost"]["monthlyUSD"])}
    last = "like_sync_last_success_timestamp_seconds"
    assert _series(operator, namespace, last) == {}
    namespace.patch("CronJob", "b-like-sync", {"status": {"lastSuccessfulTime": SYNCED}}, "/status")
    eventually(lambda: _series(operator, namespace, last) == {("b",): SYNCED_SECONDS})
    # A condition that changes is one series before and after.
    namespace.patch("Deployment", "b-api-base", {"status": {"availableReplicas": 0, "readyReplicas": 0}}, "/status")
    eventually(lambda: _conditions(operator, namespace)["b", "Ready"] == "False NoPodsAvailable")
    assert _series(operator, namespace, "replicas", "tier")["b", "base"] == 0
    namespace.delete("Community", "a")
    eventually(lambda: {name for name, _ in _conditions(operator, namespace)} == {"b"})
    assert {key[0] for key in _series(operator, namespace, "replicas", "tier")} == {"b"}
    assert _series(operator, namespace, "monthly_cost_usd") == {}
