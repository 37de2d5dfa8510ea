"""Pods that run where they must not, by the labels of real Node objects."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bapsang_operator import names
from bapsang_operator.kinds import NODE, POD

from .client import Client
from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")

REDIS = {names.LABEL_COMPONENT: "redis"}
BASE = {names.LABEL_COMPONENT: "api", names.LABEL_TIER: "base"}
BURST = {names.LABEL_COMPONENT: "api", names.LABEL_TIER: "burst"}


@pytest.fixture
def spot(client: Client, namespace: Namespace) -> Iterator[str]:
    """A spot node as GKE labels them, that nothing keeps pods off."""
    metadata = {"name": f"spot-{namespace.name}", "labels": {"cloud.google.com/gke-spot": "true"}}
    assert client.create(NODE, {"metadata": metadata}).is_success
    yield metadata["name"]
    client.delete(NODE, None, metadata["name"])


def _run(namespace: Namespace, name: str, labels: dict[str, str], node: str) -> None:
    """Make a pod that the scheduler never saw."""
    metadata = {"name": name, "namespace": namespace.name}
    metadata["labels"] = {names.LABEL_MANAGED_BY: names.MANAGER, names.LABEL_COMMUNITY: "c", **labels}
    spec = {"containers": [{"name": "x", "image": "x"}], "nodeName": node, "terminationGracePeriodSeconds": 0}
    answer = namespace.client.create(POD, {"metadata": metadata, "spec": spec})
    assert answer.is_success, answer.text


def test_base_and_stores_on_a_spot_node_are_told_until_they_are_gone(namespace: Namespace, spot: str) -> None:
    namespace.community()
    namespace.bring_up()
    _run(namespace, "burst-x", BURST, spot)
    _run(namespace, "base-elsewhere", BASE, "a-node-that-is-gone")
    _run(namespace, "base-x", BASE, spot)
    told = namespace.wait_for("Degraded", "True", "OnSpotNode")["message"]
    assert told.startswith("Deployment c-api-base: a pod runs on a spot node (cloud.google.com/gke-spot=true)")
    assert "burst" not in told
    assert namespace.condition("Ready")["status"] == "True"
    _run(namespace, "redis-x", REDIS, spot)
    namespace.delete("Pod", "base-x")
    namespace.wait_for_message("Degraded", "StatefulSet c-redis: a pod runs on a spot node")
    namespace.delete("Pod", "redis-x")
    namespace.wait_for("Degraded", "False")


def test_drain_that_outlasts_the_notice_of_a_spot_node_is_told(namespace: Namespace) -> None:
    namespace.community(api={"drainSeconds": 100})
    told = namespace.wait_for("Degraded", "True", "DrainTooLong")["message"]
    assert told.startswith("spec.api.drainSeconds is 100: a burst pod may need 117 s to leave")
    namespace.patch("Community", "c", {"spec": {"api": {"drainSeconds": 93}}})
    namespace.wait_for("Degraded", "False")
