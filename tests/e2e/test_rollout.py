"""A new image rolls out after its migration; a bad one, or a missing Secret, leaves the old pods serving and says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bapsang_local import s3
from bapsang_local.settings import Settings
from bapsang_local.smoke import Client

from .conftest import Community, eventually

USERS = 8  # at once: fewer slip through the moment in which a pod goes, and the tests would prove nothing


class Traffic:
    """Asks for the list again and again, and keeps every answer that is not 200."""

    def __init__(self, port: int, host: str) -> None:
        self.client = Client(port, host=host)
        self.asked = 0
        self.failed: list[str] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.wait(0.005):
            self.asked += 1
            try:
                status = self.client.call("GET", "/api/v1/posts?size=1").status
                if status != 200:
                    self.failed.append(str(status))
            except OSError as error:
                self.failed.append(repr(error))


@contextmanager
def traffic(settings: Settings, host: str) -> Iterator[Traffic]:
    source = Traffic(settings.ingress_port, host)
    threads = [threading.Thread(target=source.run) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        yield source
    finally:
        source.stopping.set()
        for thread in threads:
            thread.join()


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


def test_a_changed_image_rolls_after_its_migration_and_no_request_fails(
    own: Community, settings: Settings, other_image: str
) -> None:
    with traffic(settings, own.host) as source:
        eventually(lambda: source.asked > 20 and not source.failed, 30, what="traffic flows")
        own.patch({"image": other_image})
        everywhere = {other_image}
        eventually(lambda: images(own, "base") == images(own, "burst") == everywhere, 180, what="both tiers run it")
        own.wait_ready()
    assert source.failed == [], f"{len(source.failed)} of {source.asked} requests failed"
    jobs = [job for job in own.items("jobs") if job["metadata"]["name"].startswith("table-migrate-")]
    assert len(jobs) == 1, "the older migration Job is gone"
    base, burst = pods(own, "base"), pods(own, "burst")
    assert min(created(pod) for pod in base) >= jobs[0]["status"]["completionTime"], "no new pod before its migration"
    assert min(created(pod) for pod in burst) >= max(became_ready(pod) for pod in base), "burst rolls after base"


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
    assert source.failed == []
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
    assert source.failed == []


def _degraded(community: Community, reason: str) -> str:
    condition = community.condition("Degraded")
    return str(condition["message"]) if (condition["status"], condition["reason"]) == ("True", reason) else ""


@pytest.mark.parametrize("how", ["community", "namespace"])
def test_deletion_removes_every_child_also_with_the_operator_stopped(
    make_community: Callable[..., Community], operator_stopped: Callable[[], None], how: str
) -> None:
    community = make_community()
    community.wait_ready()
    operator_stopped()
    kinds = "deployments,statefulsets,services,ingresses,hpa,pdb,cronjobs,jobs,serviceaccounts,networkpolicies,pods,replicasets"
    assert len(community.items(kinds)) > 15
    if how == "community":
        community.cluster.kubectl("delete", "community", community.name, "-n", community.namespace, "--timeout=30s")
        eventually(lambda: not community.items(kinds), 90, what="all children are gone")
        left = community.cluster.items("secrets,persistentvolumeclaims,configmaps", "-n", community.namespace)
        eventually(lambda: not _claims(community), 60, what="its volumes are gone")
        secrets = [item["metadata"]["name"] for item in left if item["kind"] == "Secret"]
        assert secrets == [s3.COMMUNITY_SECRET], "what the user has put there stays, and nothing else"
    else:
        community.cluster.kubectl("delete", "namespace", community.namespace, "--timeout=120s", timeout=130)


def _claims(community: Community) -> list[object]:
    return list(community.cluster.items("persistentvolumeclaims", "-n", community.namespace))
