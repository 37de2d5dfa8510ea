"""Hibernation, windows and pause, against a real apiserver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names

from .world import Namespace, Operator

pytestmark = pytest.mark.usefixtures("operator")


def _replicas(namespace: Namespace, name: str) -> int:
    found: Any = namespace.get("Deployment", name)
    return int(found["spec"]["replicas"])


def _floor(namespace: Namespace) -> int:
    found: Any = namespace.get("HorizontalPodAutoscaler", "c-api-burst")
    return int(found["spec"]["minReplicas"])


def _both(namespace: Namespace, base: int, burst: int) -> None:
    eventually(lambda: (_replicas(namespace, "c-api-base"), _replicas(namespace, "c-api-burst")) == (base, burst))
    namespace.finish_rollout("c-api-base")
    namespace.finish_rollout("c-api-burst")


def test_hibernated_community_has_no_pods_and_wakes_with_its_floor(namespace: Namespace, operator: Operator) -> None:
    namespace.community(api={"burst": {"minReplicas": 2}})
    namespace.bring_up()
    namespace.patch("Community", "c", {"spec": {"hibernate": True}})
    _both(namespace, 0, 0)
    namespace.wait_for("Ready", "False", "Hibernated")
    namespace.wait_for("Progressing", "False", "Hibernated")
    namespace.wait_for("LikeSyncHealthy", "Unknown", "Suspended")
    assert (namespace.get("CronJob", "c-like-sync") or {})["spec"]["suspend"] is True
    assert (namespace.get("StatefulSet", "c-redis") or {})["spec"]["replicas"] == 1
    eventually(lambda: [event["type"] for event in namespace.events("Hibernated")] == ["Normal"])
    versions = namespace.versions()
    operator.restart()
    assert namespace.versions() == versions
    namespace.patch("Community", "c", {"spec": {"hibernate": False}})
    _both(namespace, 2, 2)
    namespace.wait_for("Ready", "True", "Serving")
    namespace.wait_for("Progressing", "False", "UpToDate")
    assert (namespace.get("CronJob", "c-like-sync") or {})["spec"]["suspend"] is False


def test_burst_tier_scaled_to_nothing_by_hand_is_woken(namespace: Namespace) -> None:
    namespace.community()
    namespace.bring_up()
    namespace.patch("Deployment", "c-api-burst", {"spec": {"replicas": 0}})
    eventually(lambda: _replicas(namespace, "c-api-burst") == 1, 3)


def test_open_window_raises_the_floor_until_it_shuts(namespace: Namespace) -> None:
    namespace.community()
    namespace.bring_up()
    opened = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=60) + timedelta(seconds=6)
    window = {"name": "sale", "at": opened.isoformat(), "duration": "1h", "replicas": 5}
    namespace.patch("Community", "c", {"spec": {"prewarm": [window]}})
    eventually(lambda: _floor(namespace) == 5, 5)
    told = namespace.wait_for("Prewarmed", "True", "WindowOpen")
    assert f'"sale" until {(opened + timedelta(hours=1)).isoformat(timespec="minutes")}' in told["message"]
    eventually(lambda: _floor(namespace) == 1, 8, "the window shuts by itself")
    namespace.wait_for("Prewarmed", "False", "NoWindowOpen")
    eventually(lambda: namespace.events("WindowOpened") and namespace.events("WindowClosed"))


def test_paused_community_is_left_alone_and_goes_on_afterwards(namespace: Namespace) -> None:
    namespace.community()
    namespace.bring_up()
    namespace.patch("Community", "c", {"metadata": {"annotations": {names.ANNOTATION_PAUSED: "jane restores"}}})
    told = namespace.wait_for("Paused", "True", "ByAnnotation")
    assert "jane restores" in told["message"]
    namespace.patch("Community", "c", {"spec": {"likeSync": {"batchSize": 7}}})
    namespace.delete("Service", "c-api")
    namespace.patch("Deployment", "c-api-base", {"spec": {"replicas": 7}})
    namespace.finish_rollout("c-api-base")
    eventually(lambda: ((namespace.get("Community", "c") or {})["status"]["replicas"]["base"]) == 7)
    assert namespace.get("Service", "c-api") is None
    assert _replicas(namespace, "c-api-base") == 7
    namespace.patch("Community", "c", {"metadata": {"annotations": {names.ANNOTATION_PAUSED: None}}})
    namespace.wait_for("Paused", "False")
    eventually(lambda: namespace.get("Service", "c-api") and _replicas(namespace, "c-api-base") == 2)
    job = (namespace.get("CronJob", "c-like-sync") or {})["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert "7" in job["containers"][0]["args"]


def _bounds(namespace: Namespace) -> tuple[int, int]:
    found: Any = namespace.get("HorizontalPodAutoscaler", "c-api-burst")
    return int(found["spec"]["minReplicas"]), int(found["spec"]["maxReplicas"])


def test_overload_and_a_failed_migration_hold_back_no_count(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    first = namespace.bring_up()
    base: Any = namespace.get("Deployment", "c-api-base")
    overloaded = base["status"] | {"availableReplicas": 1, "readyReplicas": 1, "unavailableReplicas": 1}
    namespace.patch("Deployment", "c-api-base", {"status": overloaded}, "/status")
    window = {"name": "now", "schedule": "* * * * *", "duration": "60m", "replicas": 8}
    namespace.patch("Community", "c", {"spec": {"prewarm": [window], "api": {"burst": {"maxReplicas": 40}}}})
    eventually(lambda: _bounds(namespace) == (8, 40), 5, "bounds reach the autoscaler under overload")
    namespace.wait_for("Prewarmed", "True", "WindowOpen")
    namespace.patch("Community", "c", {"spec": {"image": "bapsang/api:0.2.0"}})
    namespace.finish_job(namespace.migration(other_than=first), succeeded=False)
    namespace.wait_for("Degraded", "True", "MigrationFailed")
    # Nobody remembers what was applied before the change that waits.
    operator.restart()
    namespace.patch("Community", "c", {"spec": {"hibernate": True, "prewarm": [], "likeSync": {"suspend": True}}})
    eventually(lambda: (_replicas(namespace, "c-api-base"), _replicas(namespace, "c-api-burst")) == (0, 0))
    eventually(lambda: (namespace.get("CronJob", "c-like-sync") or {})["spec"]["suspend"] is True)
    eventually(lambda: _bounds(namespace) == (1, 40))
    namespace.patch("Community", "c", {"spec": {"hibernate": False, "likeSync": {"suspend": False}}})
    _both(namespace, 2, 1)
    eventually(lambda: (namespace.get("CronJob", "c-like-sync") or {})["spec"]["suspend"] is False)
    base = namespace.get("Deployment", "c-api-base")
    assert base["spec"]["template"]["spec"]["containers"][0]["image"] == "bapsang/api:0.1.0"
