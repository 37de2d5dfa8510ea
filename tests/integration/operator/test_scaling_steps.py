"""How many steps a tenfold load takes: the real autoscaler, workload controllers and scheduler; kubelets and load are played.

The load is that of the sample on EKS: from its average to its peak, at its CPU a request.
"""

from __future__ import annotations

import math
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.operator.world import AllDigests
from tests.waiting import eventually

from bapsang_operator import build
from bapsang_operator.kinds import BY_NAME, POD
from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import Community, parse, quantity

from .client import ROOT, Client
from .cluster import Site
from .metrics import Metrics, Source, served

SAMPLE = "community-eks.yaml"
BASE, BURST = "bapsang-api-base", "bapsang-api-burst"
NODE_SECONDS = 2  # until a new node is there: two rounds of the autoscaler
SETTLED_SECONDS = 6


class Load:
    """Requests a second, shared evenly by the ready pods of one Service, and the CPU that they take."""

    def __init__(self, community: Community) -> None:
        traffic, scaling = community.estate.traffic, community.api.autoscaling
        self.rate, self.peak = float(traffic.average_qps), float(traffic.peak_qps)
        self._cpu_ms = traffic.cpu_microseconds / 1000
        request = float(1000 * quantity.parse(community.api.burst.resources.requests["cpu"]))
        self.target = request * scaling.target_cpu / 100  # millicores of a pod
        self.per_pod = math.floor(self.target / self._cpu_ms)  # requests a second
        self.ready: frozenset[str] = frozenset()

    def cpu(self) -> dict[str, float]:
        """Millicores by pod: at most a whole node's two processors."""
        each = self.rate / max(1, len(self.ready))
        return {name: min(1900.0, each * self._cpu_ms) for name in self.ready}

    def answered(self, pods: str) -> float:
        """Requests a second that pods answer whose name matches; what is refused is an answer."""
        matching = [name for name in self.ready if re.fullmatch(pods, name)]
        return self.rate * len(matching) / max(1, len(self.ready))


class Kubelets:
    """Makes pods ready, all that are wanted together, once the autoscaler has wanted as many for some rounds: a node takes
    longer to come than the autoscaler to look again, so what it wants meanwhile is one step.
    """

    def __init__(self, site: Site, load: Load) -> None:
        self._client, self._namespace, self._load = site.client, site.name, load
        self._over = threading.Event()
        self._wanted, self._since = 0, 0.0
        self.steps: list[int] = []  # burst pods, at the start and after each step
        self.trouble: list[Exception] = []

    def __enter__(self) -> Kubelets:
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        assert self.trouble == []

    def _work(self) -> None:
        while not self._over.wait(0.1):
            try:
                self._look()
            except Exception as error:
                self.trouble.append(error)
                return

    def _look(self) -> None:
        deployments = {one["metadata"]["name"]: one for one in self._list("Deployment")}
        burst, base = (deployments[name]["spec"]["replicas"] for name in (BURST, BASE))
        if burst != self._wanted:
            self._wanted, self._since = burst, time.monotonic()
        pods = self._client.list(POD, self._namespace)
        names = frozenset(pod["metadata"]["name"] for pod in pods)
        placed = len(pods) == burst + base and all(pod["spec"].get("nodeName") for pod in pods)
        if placed and names != self._load.ready and time.monotonic() - self._since > NODE_SECONDS:
            for pod in pods:
                self._client.patch(POD, self._namespace, pod["metadata"]["name"], _running(), "/status")
            self._load.ready = names
            self.steps.append(burst)

    @property
    def rested(self) -> float:
        """For how many seconds the autoscaler has wanted as many pods as are ready."""
        return time.monotonic() - self._since if self.steps[-1:] == [self._wanted] else 0.0

    def _list(self, kind: str) -> list[dict[str, Any]]:
        return self._client.list(BY_NAME[kind], self._namespace)


def _running() -> dict[str, Any]:
    at = "2026-01-01T00:00:00Z"  # long ago: the autoscaler leaves out what has just started
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": at}
    return {"status": {"phase": "Running", "startTime": at, "conditions": [ready]}}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True, timeout=60)
    return certificate, key


def place(client: Client) -> Site:
    """Return a site with room for every pod of the sample: what fits where is another test's."""
    site, room = Site(client), {"cpu": "1930m", "memory": "3300Mi", "pods": "17"}
    for number in range(12):
        labels = {"kubernetes.io/arch": "arm64", "kubernetes.io/os": "linux"}
        labels["eks.amazonaws.com/capacityType"] = "SPOT" if number > 3 else "ON_DEMAND"
        site.node(f"{site.name}-{number}", f"ap-northeast-2{'ac'[number % 2]}", labels, room=room)
    return site


def sample(namespace: str, **autoscaling: Any) -> Community:
    text = (ROOT / "manifests/samples" / SAMPLE).read_text()
    (found,) = (one for one in yaml.safe_load_all(text) if one["kind"] == "Community")
    found["metadata"] |= {"namespace": namespace, "uid": "1", "generation": 1}
    found["spec"]["api"]["autoscaling"] |= autoscaling
    return parse(found)


def install(site: Site, community: Community, names: tuple[str, ...] = (BASE, BURST)) -> Manifest:
    """Create Deployments and the autoscaler that KEDA or the operator makes; return the autoscaler as the spec has it."""
    for child in build.children(community, AllDigests(), has_keda=True):
        if child.key.name not in names:
            continue
        if child.key.kind in {"Deployment", "HorizontalPodAutoscaler"}:
            manifest = child.manifest | {"metadata": {**child.manifest["metadata"], "ownerReferences": []}}
            answer = site.client.create(BY_NAME[child.key.kind], manifest)
            assert answer.is_success, answer.text
        if child.key.kind in {"HorizontalPodAutoscaler", "ScaledObject"}:
            autoscaler = child.manifest
    return autoscaler


def as_keda_does(scaled: Manifest) -> Manifest:
    """Return the autoscaler that KEDA makes of a ScaledObject (keda.sh/docs: triggers of type cpu and prometheus)."""
    spec = scaled["spec"]
    cpu, prometheus = spec["triggers"]
    utilization = {"type": "Utilization", "averageUtilization": int(cpu["metadata"]["value"])}
    container = cpu["metadata"]["containerName"]
    average = {"type": "AverageValue", "averageValue": prometheus["metadata"]["threshold"]}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": f"keda-hpa-{BURST}", "namespace": scaled["metadata"]["namespace"]},
        "spec": {
            "scaleTargetRef": spec["scaleTargetRef"],
            "minReplicas": spec["minReplicaCount"],
            "maxReplicas": spec["maxReplicaCount"],
            "behavior": spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"],
            "metrics": [
                {
                    "type": "ContainerResource",
                    "containerResource": {"name": "cpu", "container": container, "target": utilization},
                },
                {"type": "External", "external": {"metric": {"name": "offered"}, "target": average}},
            ],
        },
    }


def value_of(query: str, load: Load) -> float:
    """Return what Prometheus answers: the rate of the pods that the query names, less a number, and at least 0."""
    found = re.fullmatch(r'clamp_min\(sum\(rate\(\w+\{.*pod=~"(?P<pods>.+)"\}\[1m\]\)\) - (?P<less>\d+), 0\)', query)
    assert found, query
    return max(0.0, load.answered(found["pods"]) - float(found["less"]))


def steps(site: Site, load: Load) -> list[int]:
    """Return how many burst pods there were, one after the other, from a quiet start until the autoscaler wants no more."""
    with Kubelets(site, load) as kubelets:
        eventually(lambda: kubelets.steps, 60, "all pods are ready")
        eventually(lambda: current(site) == kubelets.steps[-1], 30, "the autoscaler has looked")
        quiet = len(kubelets.steps)
        load.rate = load.peak
        eventually(lambda: len(kubelets.steps) > quiet and kubelets.rested > SETTLED_SECONDS, 60, "no more steps")
    return kubelets.steps[quiet - 1 :]


def current(site: Site) -> int:
    """Return how many pods the autoscaler saw when it last had every metric; 0 before."""
    (found,) = site.client.list(BY_NAME["HorizontalPodAutoscaler"], site.name)
    status = found.get("status") or {}
    complete = len(status.get("currentMetrics") or ()) == len(found["spec"]["metrics"])
    return int(status.get("currentReplicas", 0)) if complete else 0


@pytest.fixture(scope="module")
def metrics(cluster_client: Client, certificate: tuple[Path, Path]) -> Iterator[Metrics]:
    found, own = Metrics(), Site(cluster_client)
    with served(cluster_client, own.name, found, certificate):
        yield found
    own.leave()


@dataclass(frozen=True)
class Run:
    """How the sample grew under a tenfold load."""

    community: Community
    load: Load
    steps: list[int]


def by_cpu(site: Site, metrics: Metrics) -> Run:
    community = sample(site.name)
    load = Load(community)
    metrics.of[site.name] = Source(load.cpu)
    install(site, community)
    return Run(community, load, steps(site, load))


def by_requests(site: Site, metrics: Metrics) -> Run:
    load = Load(sample(site.name))
    keda = {"prometheusUrl": "http://prometheus.monitoring:9090", "requestsPerPod": load.per_pod}
    community = sample(site.name, keda=keda)
    scaled = install(site, community)
    query = scaled["spec"]["triggers"][1]["metadata"]["query"]
    metrics.of[site.name] = Source(load.cpu, lambda: value_of(query, load))
    answer = site.client.create(BY_NAME["HorizontalPodAutoscaler"], as_keda_does(scaled))
    assert answer.is_success, answer.text
    return Run(community, load, steps(site, load))


@pytest.fixture(scope="module")
def runs(cluster_client: Client, metrics: Metrics) -> Iterator[dict[str, Future[Run]]]:
    """Both ways at once, each on nodes of its own: nearly all of a run is waiting for the autoscaler's rounds."""
    sites = [place(cluster_client) for _ in "12"]
    with ThreadPoolExecutor(2) as pool:
        ways = (by_cpu, by_requests)
        yield {way.__name__: pool.submit(way, site, metrics) for way, site in zip(ways, sites, strict=True)}
    for site in sites:
        site.leave()


def test_a_tenfold_load_takes_three_steps_by_cpu(runs: dict[str, Future[Run]]) -> None:
    found = runs["by_cpu"].result()
    assert found.steps == [1, 4, 8, 11]
    # The autoscaler leaves a tenth more than its target alone.
    assert max(found.load.cpu().values()) <= 1.12 * found.load.target


def test_a_tenfold_load_takes_one_step_by_requests(runs: dict[str, Future[Run]]) -> None:
    found = runs["by_requests"].result()
    burst = found.community.api.burst
    assert found.steps == [burst.min_replicas, burst.max_replicas]


def test_photo_workers_are_scaled_by_their_backlog(cluster_client: Client, metrics: Metrics) -> None:
    """A worker with a backlog keeps a core busy, an idle one uses none: nobody counts photos."""
    site = place(cluster_client)
    has_backlog, ready = threading.Event(), dict[str, None]()
    metrics.of[site.name] = Source(
        lambda: dict.fromkeys(tuple(ready), 950.0 if has_backlog.is_set() else 4.0), container="media"
    )
    community = sample(site.name)
    install(site, community, ("bapsang-media",))

    def workers() -> int:
        """Make ready what has a node; return how many there are, 0 while they are not yet as many as are wanted."""
        for pod in site.client.list(POD, site.name):
            name = pod["metadata"]["name"]
            if pod["spec"].get("nodeName") and name not in ready:
                site.client.patch(POD, site.name, name, _running(), "/status")
                ready[name] = None
        (found,) = site.client.list(BY_NAME["Deployment"], site.name)
        return len(ready) if len(ready) == found["spec"]["replicas"] else 0

    counts: list[int] = []

    def grown_to(most: int) -> bool:
        if (now := workers()) and counts[-1:] != [now]:
            counts.append(now)
        return counts[-1:] == [most]

    eventually(lambda: grown_to(1) and current(site) == 1, 60, "the autoscaler has looked at an idle worker")
    has_backlog.set()
    eventually(lambda: grown_to(community.media.max_replicas), 60, "as many workers as there may be")
    assert counts == [1, 2, 3]
    site.leave()
