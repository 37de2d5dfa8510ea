"""The photo workers on a real apiserver: they come with the bucket, sleep, are scaled by their autoscaler, and go."""

from __future__ import annotations

from typing import Any

import pytest
from tests.waiting import eventually

from .namespace import Namespace
from .process import Operator
from .test_quiet import rounds

DEPLOYMENT, HPA = ("Deployment", "c-media"), ("HorizontalPodAutoscaler", "c-media")


def _replicas(namespace: Namespace) -> int:
    found: Any = namespace.get(*DEPLOYMENT)
    return int(found["spec"]["replicas"])


def test_workers_come_with_the_bucket_and_go_with_it(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    assert namespace.get(*DEPLOYMENT) is None
    namespace.patch("Community", "c", {"spec": {"storage": {"bucket": "media"}}})
    namespace.wait_for("Progressing", "True", "RollingOutBase")
    namespace.finish_rollout("c-api-base")
    namespace.wait_for("Progressing", "True", "RollingOutBurst")
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "True", "RollingOutMedia")
    assert _replicas(namespace) == 1
    namespace.finish_rollout("c-media")
    namespace.wait_for("Progressing", "False", "UpToDate")
    found: Any = eventually(lambda: namespace.get(*HPA))
    assert found["spec"]["metrics"][0]["containerResource"]["target"] == {
        "type": "AverageValue",
        "averageValue": "500m",
    }

    namespace.patch("Community", "c", {"spec": {"storage": None}})
    eventually(lambda: namespace.get(*DEPLOYMENT) is None and namespace.get(*HPA) is None)
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text


def test_count_of_workers_is_their_autoscalers_and_zero_while_the_community_sleeps(
    namespace: Namespace, operator: Operator
) -> None:
    namespace.community(storage={"bucket": "media"}, media={"minReplicas": 2})
    namespace.bring_up()
    # As its controller does: by the subresource.
    namespace.patch(*DEPLOYMENT, {"spec": {"replicas": 3}}, "/scale")
    namespace.finish_rollout("c-media")
    namespace.patch("Community", "c", {"spec": {"media": {"maxReplicas": 5}}})
    eventually(lambda: (namespace.get(*HPA) or {})["spec"]["maxReplicas"] == 5)
    namespace.patch("Community", "c", {"spec": {"media": {"resources": {"requests": {"cpu": "300m"}}}}})

    def is_applied() -> bool:
        found: Any = namespace.get(*DEPLOYMENT)
        return bool(found["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "300m")

    eventually(is_applied)
    namespace.settle()
    rounds(operator, 2)
    assert _replicas(namespace) == 3
    namespace.patch("Community", "c", {"spec": {"hibernate": True}})
    eventually(lambda: _replicas(namespace) == 0)
    namespace.patch("Community", "c", {"spec": {"hibernate": False}})
    eventually(lambda: _replicas(namespace) == 2)


@pytest.mark.usefixtures("operator")
def test_workers_of_which_none_is_available_are_told_until_one_is(namespace: Namespace) -> None:
    namespace.community(storage={"bucket": "media"})
    namespace.bring_up()
    lacking = {
        "type": "Available",
        "status": "False",
        "reason": "MinimumReplicasUnavailable",
        "message": "m",
        "lastUpdateTime": "2026-11-23T10:00:00Z",
        "lastTransitionTime": "2026-11-23T10:00:00Z",
    }
    none = {"availableReplicas": 0, "readyReplicas": 0, "unavailableReplicas": 1, "conditions": [lacking]}
    namespace.patch(*DEPLOYMENT, {"status": none}, "/status")
    namespace.wait_for("Degraded", "True", "MediaUnavailable", saying=("Deployment c-media: no pod is available",))
    assert namespace.condition("Ready")["status"] == "True"
    namespace.patch(*DEPLOYMENT, {"status": {"conditions": None, "unavailableReplicas": None}}, "/status")
    namespace.finish_rollout("c-media")
    namespace.wait_for("Degraded", "False")
