"""What the budgets let go: evictions on a real apiserver, with the controllers that count pods, no node and no kubelet.

Replacements get no node here and so never become ready, as when spot nodes are reclaimed and new ones take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from tests.unit.operator.world import AllDigests
from tests.waiting import eventually

from bapsang_operator import build, names
from bapsang_operator.kinds import BY_NAME, POD
from bapsang_operator.resource import parse

from .client import Client, Object
from .cluster import Site
from .namespace import resource

BASE, BURST = 3, 9


class World:
    """The budgets, both tiers and a run of like-sync of a Community in a namespace, as the builders make them."""

    def __init__(self, site: Site, **changes: object) -> None:
        self.client, self.name = site.client, site.name
        made = resource(site.name, api={"base": {"replicas": BASE}, **changes})
        made["metadata"] |= {"uid": "none", "generation": 1}
        for child in build.children(parse(made), AllDigests()):
            if child.key.kind in {"PodDisruptionBudget", "Deployment"}:
                # No Community is here: the garbage collector would remove what it owns.
                child.manifest["metadata"].pop("ownerReferences")
                answer = site.client.create(BY_NAME[child.key.kind], child.manifest)
                assert answer.is_success, answer.text
            if child.key.kind == "CronJob":
                self.run_template = child.manifest["spec"]["jobTemplate"]

    def job(self) -> Object:
        """Start a run of like-sync, or return the one that was started."""
        template = self.run_template
        job = {**template, "metadata": {**template["metadata"], "name": "run", "namespace": self.name}}
        answer = self.client.create(BY_NAME["Job"], job)
        assert answer.is_success or answer.status_code == httpx.codes.CONFLICT, answer.text
        return self.client.get(BY_NAME["Job"], self.name, "run") or {}

    def running(self) -> str:
        """Return the pod of the run that has not ended, once there is one, and let it run."""
        labels = {names.LABEL_COMPONENT: names.Component.LIKE_SYNC}

        def probe() -> str:
            pods = self.client.list(POD, self.name)
            found = [one for one in pods if labels.items() <= one["metadata"]["labels"].items()]
            return next((one["metadata"]["name"] for one in found if one["status"]["phase"] == "Pending"), "")

        # The Job controller waits ten seconds before it makes another one.
        pod = eventually(probe, 60, "a pod of the run")
        self.client.patch(POD, self.name, pod, {"status": {"phase": "Running"}}, "/status")
        return pod

    def end(self, pod: str, *conditions: str) -> None:
        """Let a pod of the run fail."""
        ended = {"terminated": {"exitCode": 137}}
        container = {
            "name": "like-sync",
            "image": "x",
            "imageID": "x",
            "ready": False,
            "restartCount": 0,
            "state": ended,
        }
        told = [{"type": one, "status": "True", "reason": "EvictionByEvictionAPI"} for one in conditions]
        status = {"phase": "Failed", "conditions": told, "containerStatuses": [container]}
        self.client.patch(POD, self.name, pod, {"status": status}, "/status")

    def scale(self, deployment: str, replicas: int) -> None:
        self.client.patch(BY_NAME["Deployment"], self.name, deployment, {"spec": {"replicas": replicas}})
        eventually(lambda: len(self.pods(deployment)) == replicas, what=f"{replicas} pods of {deployment}")

    def pods(self, deployment: str) -> list[Object]:
        """Return the pods of a tier, ready ones first."""
        tier = deployment.rpartition("-")[2]
        found = [
            one for one in self.client.list(POD, self.name) if one["metadata"]["labels"].get(names.LABEL_TIER) == tier
        ]
        return sorted(found, key=lambda one: one["status"]["phase"] != "Running")

    def run(self, deployment: str, budget: str) -> list[str]:
        """Let all pods of a tier be ready, and return their names once its budget has counted them."""
        found = [one["metadata"]["name"] for one in self.pods(deployment)]
        ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        for pod in found:
            self.client.patch(POD, self.name, pod, {"status": ready}, "/status")
        self.await_budget(budget, healthy=len(found))
        return found

    def await_budget(self, budget: str, **wanted: int) -> None:
        keys = {"healthy": "currentHealthy", "expected": "expectedPods"}

        def counted() -> bool:
            found = self.client.get(BY_NAME["PodDisruptionBudget"], self.name, budget) or {}
            status = found.get("status", {})
            return all(status.get(keys[name]) == count for name, count in wanted.items())

        eventually(counted, what=f"{budget} has counted {wanted}")

    def evict(self, pod: str) -> int:
        """Return the status of an eviction: 201, or 429 where the budget forbids it now."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": self.name}}
        answer = self.client.post(f"{POD.path(self.name, pod)}/eviction", body)
        assert answer.status_code in {httpx.codes.CREATED, httpx.codes.TOO_MANY_REQUESTS}, answer.text
        return answer.status_code


@pytest.fixture(scope="module", autouse=True)
def run_of_like_sync(cluster_client: Client) -> Iterator[Future[tuple[bool, str]]]:
    """An evicted run, then a failed one, beside the other tests: the Job's controller waits ten seconds between pods.

    Tells whether a second pod came without a failure, and how the Job ended.
    """
    site = Site(cluster_client)

    def run() -> tuple[bool, str]:
        world = World(site)
        world.job()
        first = world.running()
        world.end(first, "DisruptionTarget")
        second = world.running()
        went_on = second != first and not world.job()["status"].get("failed")
        world.end(second)

        def ended() -> str:
            found = world.job()["status"].get("conditions", ())
            return next((one["type"] for one in found if one["type"] in {"Failed", "Complete"}), "")

        return went_on, eventually(ended, what="the run has ended")

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(run)
    site.leave()


def test_a_reclaim_of_all_spot_nodes_lets_every_burst_pod_leave_and_uses_nothing_up_of_base(site: Site) -> None:
    world = World(site)
    world.scale("c-api-burst", BURST)
    burst = world.run("c-api-burst", "c-api-burst")
    base = world.run("c-api-base", "c-api")
    assert [world.evict(pod) for pod in burst] == [201] * BURST
    # The drain of an on-demand node at the same time: one base pod, and the next one once the first is replaced.
    assert [world.evict(pod) for pod in base] == [201, 429, 429]


def test_a_tier_that_grows_lets_its_pods_leave_while_the_new_ones_wait_for_nodes(site: Site) -> None:
    world = World(site)
    world.scale("c-api-burst", BURST)
    burst = world.run("c-api-burst", "c-api-burst")
    world.scale("c-api-burst", 2 * BURST)
    world.await_budget("c-api-burst", healthy=BURST, expected=2 * BURST)
    assert [world.evict(pod) for pod in burst] == [201] * BURST


def test_without_spot_a_drain_leaves_most_of_burst(site: Site) -> None:
    world = World(site, spot={"enabled": False})
    world.scale("c-api-burst", 8)
    burst = world.run("c-api-burst", "c-api-burst")
    assert [world.evict(pod) for pod in burst].count(201) == 2


def test_base_pods_that_serve_nobody_hold_up_no_drain(site: Site) -> None:
    world = World(site)
    eventually(lambda: len(world.pods("c-api-base")) == BASE)
    broken, *_ = world.run("c-api-base", "c-api")
    for pod in world.pods("c-api-base"):
        unready = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
        site.client.patch(POD, world.name, pod["metadata"]["name"], unready, "/status")
    world.await_budget("c-api", healthy=0)
    assert world.evict(broken) == 201


def test_an_evicted_run_of_like_sync_is_made_again_and_a_failed_one_is_not(
    run_of_like_sync: Future[tuple[bool, str]],
) -> None:
    went_on, ended = run_of_like_sync.result()
    assert went_on, "an eviction is no failure"
    assert ended == "Failed", "the next run is the retry"
