"""A new image rolls out after its migration; a bad one, or a missing Secret, leaves the old pods serving and says why."""

from __future__ import annotations

import json
from typing import Any

from bapsang_local.settings import Settings

from .conftest import DRAIN_SECONDS, Community, eventually
from .propagation import late_endpoints
from .traffic import served, traffic
from .watching import Watch, is_going, watching


def pods(community: Community, tier: str) -> list[dict[str, Any]]:
    """Return the pods of a tier that are not on their way out."""
    found = [pod for pod in community.items("pods") if pod["metadata"]["labels"].get("bapsang.dev/tier") == tier]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def images(community: Community, tier: str) -> set[str]:
    return {pod["spec"]["containers"][0]["image"] for pod in pods(community, tier)}


def created(pod: dict[str, Any]) -> str:
    """Return when, as the apiserver writes it; such texts sort by time."""
    return str(pod["metadata"]["creationTimestamp"])


def became_ready(pod: dict[str, Any]) -> str:
    return next(str(found["lastTransitionTime"]) for found in pod["status"]["conditions"] if found["type"] == "Ready")


def all_gone(watch: Watch) -> None:
    """Wait until every pod that was on its way out has ended: only then has traffic met all of its end."""
    assert watch.wait(lambda: not any(is_going(pod) for pod in watch.pods.values()), 90)


def test_an_image_that_cannot_be_pulled_is_told_and_the_old_pods_serve_on(own: Community, settings: Settings) -> None:
    good = own.get("community")["spec"]["image"]
    with traffic(settings, own.host) as source:
        own.patch({"image": "bapsang/api:none-such"})
        try:
            told = eventually(lambda: _degraded(own, "ImagePullFailed"), 90, what="a condition names the image")
            assert "bapsang/api:none-such" in told
            assert own.condition("Ready")["status"] == "True"
            assert images(own, "base") == {good}
        finally:
            own.patch({"image": good})
        own.wait_ready()
    served(source)
    assert own.condition("Degraded")["status"] == "False"


def test_a_missing_secret_is_told_with_field_and_name(own: Community, settings: Settings) -> None:
    with traffic(settings, own.host) as source:
        own.patch({"auth": {"signingKeySecretRef": {"name": "none-such"}}})
        try:
            told = eventually(lambda: _degraded(own, "SecretMissing"), 60, what="a condition names the Secret")
            assert "spec.auth.signingKeySecretRef" in told
            assert '"none-such"' in told
            assert own.condition("Ready")["status"] == "True"
        finally:
            own.patch({"auth": None})
        own.wait_ready()
    served(source)


def _degraded(community: Community, reason: str) -> str:
    condition = community.condition("Degraded")
    return str(condition["message"]) if (condition["status"], condition["reason"]) == ("True", reason) else ""


def test_a_rollout_without_pre_stop_loses_requests(own: Community, settings: Settings) -> None:
    """What the test below guards: without it, that test could pass on a platform that guards nothing."""
    base = "deployment/table-api-base"
    kubectl = own.cluster.kubectl
    here = ("-n", own.namespace)
    kubectl("annotate", "community", own.name, *here, "bapsang.dev/paused=a test takes preStop away")
    try:
        eventually(lambda: own.condition("Paused")["status"] == "True", 30, what="the operator keeps its hands off")
        without = [{"op": "remove", "path": "/spec/template/spec/containers/0/lifecycle"}]
        kubectl("patch", base, *here, "--type=json", "-p", json.dumps(without))
        kubectl("rollout", "status", base, *here, "--timeout=120s")
        with (
            watching(own) as watch,
            traffic(settings, own.host) as source,
            late_endpoints(own, watch, DRAIN_SECONDS + 2),
        ):
            kubectl("rollout", "restart", base, *here)
            kubectl("rollout", "status", base, *here, "--timeout=120s")
            all_gone(watch)
    finally:
        kubectl("annotate", "community", own.name, *here, "bapsang.dev/paused-")
    assert source.failed, f"none of {len(source.asked)} requests failed"
    eventually(lambda: pre_stop(own), 30, what="the operator has put it back")
    own.wait_ready()


def pre_stop(community: Community) -> object:
    (container,) = community.get("deployment", "table-api-base")["spec"]["template"]["spec"]["containers"]
    return container.get("lifecycle", {}).get("preStop")


def test_a_changed_image_rolls_after_its_migration_and_no_request_fails(
    own: Community, settings: Settings, other_image: str
) -> None:
    """With the default drain, 35 s, no load balancer that goes on sending for 25 s loses a request."""
    before = own.get("community")["spec"]["image"]
    own.patch({"api": {"drainSeconds": None}})
    own.wait_ready()
    assert own.get("community")["spec"]["api"]["drainSeconds"] == 35
    try:
        with watching(own) as watch, traffic(settings, own.host) as source, late_endpoints(own, watch, 25):
            # Pods that go have the old drain: what is patched beside the image counts for those that come.
            own.patch({"image": other_image, "api": {"drainSeconds": DRAIN_SECONDS}})
            rolled = {other_image}
            eventually(lambda: images(own, "base") == images(own, "burst") == rolled, 240, what="both tiers run it")
            own.wait_ready()
            all_gone(watch)
        served(source)
        jobs = [job for job in own.items("jobs") if job["metadata"]["name"].startswith("table-migrate-")]
        assert len(jobs) == 1, "the older migration Job is gone"
        base, burst = pods(own, "base"), pods(own, "burst")
        migrated = jobs[0]["status"]["completionTime"]
        assert min(created(pod) for pod in base) >= migrated, "no new pod before its migration"
        assert min(created(pod) for pod in burst) >= max(became_ready(pod) for pod in base), "burst rolls after base"
    finally:
        own.patch({"image": before, "api": {"drainSeconds": DRAIN_SECONDS}})
    own.wait_ready()
