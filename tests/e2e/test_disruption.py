"""Nodes that are drained or lost, and pods that are evicted, under constant traffic through the ingress."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bapsang_local import cluster as clusters
from bapsang_local.cluster import Cluster
from bapsang_local.settings import Settings

from .conftest import API, BASE, BURST, Community, eventually
from .traffic import USERS, Request, outcome, served, traffic
from .watching import Watch, is_going, is_ready, watching

ON_DEMAND, SPOT = "bapsang-worker", "bapsang-worker2"
BROKEN = "/none-such"
SLOW = 0.4  # seconds: such a request had to try a second pod
RETRIES = {"projectcontour.io/retry-on": "connect-failure", "projectcontour.io/num-retries": "8"}

Figure = Callable[[str, str], None]


@pytest.fixture(scope="module", autouse=True)
def sample_back_on_spot(sample: Community) -> Iterator[None]:
    """The sample's burst pods flee to on-demand nodes as well, and nothing sends them back by itself."""
    yield
    kubectl, here = sample.cluster.kubectl, ("-n", sample.namespace)
    kubectl(
        "delete", "pods", *here, "-l", f"bapsang.dev/community={sample.name},bapsang.dev/tier=burst", "--wait=false"
    )
    kubectl("rollout", "status", f"deployment/{sample.name}-api-burst", *here, "--timeout=90s")


def nodes_of(watch: Watch, tier: str) -> list[str]:
    """Return the node of each pod of a tier that serves."""
    return [
        pod["spec"]["nodeName"]
        for pod in watch.pods.values()
        if pod["metadata"]["labels"]["bapsang.dev/tier"] == tier and is_ready(pod) and not is_going(pod)
    ]


def complete(watch: Watch, burst: int = BURST) -> bool:
    """Tell whether all pods serve and none is on its way out any more."""
    return watch.serving() == len(watch.pods) == BASE + burst


def begin(watch: Watch) -> None:
    """Wait until the Community is complete; what served before that does not count."""
    assert watch.wait(lambda: complete(watch), 90)
    watch.fewest = watch.staying()


def evict(community: Community, pod: str) -> bool:
    """Ask the apiserver to evict a pod; False when the budget forbids it now, as `kubectl drain` is told too."""
    return community.reader.evict(pod, community.namespace)


@contextmanager
def drained(cluster: Cluster, node: str) -> Iterator[None]:
    """Drain a node as a platform engineer does; it takes pods again afterwards."""
    try:
        options = ("--ignore-daemonsets", "--delete-emptydir-data", "--timeout=180s")
        cluster.kubectl("drain", node, *options, timeout=190)
        yield
    finally:
        cluster.kubectl("uncordon", node)


def test_every_pod_is_evicted_at_once_and_no_request_fails(own: Community, settings: Settings) -> None:
    with watching(own) as watch, traffic(settings, own.host) as source:
        begin(watch)
        left = set(watch.pods)

        def all_evicted() -> bool:
            for pod in sorted(left):
                if pod in watch.went or evict(own, pod):
                    left.discard(pod)
            return not left

        eventually(all_evicted, 180, what="the budgets let every pod go")
        assert watch.wait(lambda: complete(watch), 90)
    served(source)
    assert watch.fewest == BASE - 1, "base pods go one at a time, burst pods all at once"


def test_a_spot_node_is_drained_and_burst_goes_on_elsewhere(
    own: Community, cluster: Cluster, settings: Settings
) -> None:
    with watching(own) as watch, traffic(settings, own.host) as source:
        begin(watch)
        assert set(nodes_of(watch, "base")) == {ON_DEMAND}
        assert SPOT in nodes_of(watch, "burst"), "burst prefers spot"
        with drained(cluster, SPOT):
            assert watch.wait(lambda: complete(watch), 90)
            assert set(nodes_of(watch, "burst")) == {ON_DEMAND}, "without spot it falls back"
    served(source)
    assert watch.fewest >= BASE, "a drain of spot nodes takes nothing of base"


def test_pods_that_serve_nobody_do_not_hold_up_a_drain(own: Community) -> None:
    """More pods are broken than the budget allows to be away, and each can be evicted all the same."""
    kubectl, here = own.cluster.kubectl, ("-n", own.namespace)
    kubectl("annotate", "community", own.name, *here, "bapsang.dev/paused=a test breaks pods")
    try:
        eventually(lambda: own.condition("Paused")["status"] == "True", 30, what="the operator keeps its hands off")
        with watching(own) as watch:
            # They run and never become ready: pods that do not even start may always be evicted, whatever the budget.
            probe = "/spec/template/spec/containers/0/startupProbe/httpGet/path"
            unready = [{"op": "replace", "path": probe, "value": BROKEN}]
            at_once = [{"op": "replace", "path": "/spec/strategy/rollingUpdate/maxUnavailable", "value": "100%"}]
            kubectl("patch", "deployment/table-api-base", *here, "--type=json", "-p", json.dumps(unready + at_once))
            assert watch.wait(lambda: len(broken(watch)) == BASE and watch.serving() == BURST, 60)
            budget = eventually(lambda: forbidding(own), 30, what="the budget knows that pods are away")
            assert budget["currentHealthy"] < budget["desiredHealthy"]
            judge_the_unready(own, "IfHealthyBudget")
            assert not evict(own, broken(watch)[0]), "Kubernetes' default would hold them"
            judge_the_unready(own, "AlwaysAllow")
            for pod in broken(watch):
                assert evict(own, pod), f"{pod} cannot be evicted"
    finally:
        kubectl("annotate", "community", own.name, *here, "bapsang.dev/paused-")
    own.wait_ready()


def judge_the_unready(community: Community, policy: str) -> None:
    """Change which pods the budget lets go, and wait until it is in force."""
    budget = ("pdb", f"{community.name}-api")
    patch = json.dumps({"spec": {"unhealthyPodEvictionPolicy": policy}})
    community.cluster.kubectl("patch", *budget, "-n", community.namespace, "--type=merge", "-p", patch)

    def is_seen() -> bool:
        found = community.get(*budget)
        return bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])

    eventually(is_seen, 30, what="the budget's controller has seen the change")


def broken(watch: Watch) -> list[str]:
    return [
        name
        for name, pod in watch.pods.items()
        if pod["spec"]["containers"][0]["startupProbe"]["httpGet"]["path"] == BROKEN
        and pod["status"]["phase"] == "Running"
        and not is_going(pod)
    ]


def forbidding(community: Community) -> dict[str, Any]:
    found: dict[str, Any] = community.get("pdb", f"{community.name}-api")["status"]
    return found if found["disruptionsAllowed"] == 0 and found["currentHealthy"] == 0 else {}


@pytest.mark.nightly("e2e")
def test_a_killed_spot_node_costs_what_was_in_flight_on_it(
    own: Community, cluster: Cluster, settings: Settings, figure: Figure
) -> None:
    """The node ends without notice; until Kubernetes has noticed, the ingress tries another pod each time."""
    own.patch({"api": {"burst": {"minReplicas": 1, "maxReplicas": 1}}, "ingress": {"annotations": RETRIES}})
    with watching(own) as watch, traffic(settings, own.host) as source:
        assert watch.wait(lambda: complete(watch, burst=1) and nodes_of(watch, "burst") == [SPOT], 90)
        (lost,) = (name for name, pod in watch.pods.items() if pod["spec"]["nodeName"] == SPOT)
        try:
            killed = time.monotonic()
            cluster.engine.docker("kill", SPOT)
            assert watch.wait(lambda: not is_ready(watch.pods[lost]), 120)
            noticed = time.monotonic()
            assert watch.wait(lambda: lost in watch.went and watch.serving() == BASE + 1, 120)
            whole = time.monotonic()
        finally:
            clusters.wake(cluster)
            own.patch({"api": {"burst": API["burst"]}, "ingress": {"annotations": None}})
    slow = [request for request in source.asked if request.ended > killed and request.ended - request.began > SLOW]
    figure("spot node killed: requests, of these failed", f"{len(source.asked)}, {len(source.failed)}")
    figure(f"spot node killed: requests slower than {SLOW} s, the slowest", f"{len(slow)}, {slowest(slow):.1f} s")
    figure("spot node killed: Kubernetes noticed", f"{noticed - killed:.1f} s")
    figure("spot node killed: longest time without an answer", f"{source.longest_silence(killed):.1f} s")
    figure("spot node killed: a new burst pod serves elsewhere", f"{whole - killed:.1f} s")
    # Each user has one request under way at a time, and some of these were at other pods.
    assert len(source.failed) <= USERS, outcome(source)


def slowest(requests: list[Request]) -> float:
    return max((request.ended - request.began for request in requests), default=0.0)
