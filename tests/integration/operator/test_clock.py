"""Hibernation, windows and pause, against a real apiserver."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names

from .client import Object
from .namespace import Namespace
from .process import Operator

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


def test_burst_tier_scaled_to_nothing_by_hand_is_woken(up: Namespace) -> None:
    up.patch("Deployment", "c-api-burst", {"spec": {"replicas": 0}})
    eventually(lambda: _replicas(up, "c-api-burst") == 1)
    up.settle()


def test_open_window_raises_the_floor_until_it_shuts(up: Namespace) -> None:
    # An operator that a busy machine stalls for longer than a window is open never sees it: then try a longer one.
    for seconds in (4, 20, 100):
        shuts = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=seconds)
        opened = shuts - timedelta(hours=1)
        window = {"name": "sale", "at": opened.isoformat(), "duration": "1h", "replicas": 5}
        up.patch("Community", "c", {"spec": {"prewarm": [window]}})
        told = eventually(lambda shuts=shuts: _open_window(up, shuts), 150)
        if told["reason"] == "WindowOpen":
            break
    assert f'"sale" until {shuts.isoformat(timespec="minutes")}' in told["message"]
    eventually(lambda: _floor(up) == 1, 120, "the window shuts by itself")
    up.wait_for("Prewarmed", "False", "NoWindowOpen")
    eventually(lambda: up.events("WindowOpened") and up.events("WindowClosed"))
    up.patch("Community", "c", {"spec": {"prewarm": []}})


def _open_window(up: Namespace, shuts: datetime) -> Object | None:
    """Return the condition that tells of an open window and a raised floor, or any other once the window has shut."""
    told = up.condition("Prewarmed")
    is_seen = told["reason"] == "WindowOpen" and _floor(up) == 5
    return told if is_seen or datetime.now(UTC) > shuts else None


def test_paused_community_is_left_alone_and_goes_on_afterwards(up: Namespace) -> None:
    up.patch("Community", "c", {"metadata": {"annotations": {names.ANNOTATION_PAUSED: "jane restores"}}})
    told = up.wait_for("Paused", "True", "ByAnnotation")
    assert "jane restores" in told["message"]
    up.patch("Community", "c", {"spec": {"likeSync": {"batchSize": 7}}})
    up.delete("Service", "c-api")
    up.patch("Deployment", "c-api-base", {"spec": {"replicas": 7}})
    up.finish_rollout("c-api-base")
    eventually(lambda: ((up.get("Community", "c") or {})["status"]["replicas"]["base"]) == 7)
    assert up.get("Service", "c-api") is None
    assert _replicas(up, "c-api-base") == 7
    up.patch("Community", "c", {"metadata": {"annotations": {names.ANNOTATION_PAUSED: None}}})
    up.wait_for("Paused", "False")
    eventually(lambda: up.get("Service", "c-api") and _replicas(up, "c-api-base") == 2)
    job = (up.get("CronJob", "c-like-sync") or {})["spec"]["jobTemplate"]["spec"]["template"]["spec"]
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
    eventually(lambda: _bounds(namespace) == (8, 40), what="bounds reach the autoscaler under overload")
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
