"""Spot nodes that are reclaimed as AWS and its Node Termination Handler do it, and what becomes of every pod.

Times are the apiserver's: of deletions its own stamps, of all else the `Date` of the answer that showed it.
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from tests.load.fleet import Fleet
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME, COMMUNITY, NODE, POD, Kind

from .client import NAMESPACE, ROOT, Object
from .controlplane import programs

STORES = (names.Component.REDIS, names.Component.MYSQL)
VOLUME = Kind("PersistentVolume", "", "v1", "persistentvolumes")
ENDPOINTS = Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices")
SAMPLE = ROOT / "manifests/samples/community-eks.yaml"
#: From the notice of a spot node to its end, as AWS documents it: what is still there is cut off in its work.
NOTICE = timedelta(seconds=120)
#: Until the nodes come that Cluster Autoscaler orders in place of the reclaimed ones.
NODE_SECONDS = 75
SECOND_NOTICE_SECONDS = 10
HEADROOM = 2
#: What EKS' daemons leave of both machine types, and on base nodes the add-ons as well.
ROOM = {
    "base": {"cpu": "1560m", "memory": "2900Mi", "pods": "17"},
    "spot": {"cpu": "1780m", "memory": "3114Mi", "pods": "29"},
}
#: A kubelet whose pods take all the time that they are given: they are gone at the end of their grace and not before.
END = """
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-delete}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions: [{key: .metadata.deletionTimestamp, operator: Exists}]
  delay: {durationFrom: {expressionFrom: .metadata.deletionTimestamp}}
  next: {delete: true}
"""


@dataclass
class Leaving:
    """A pod on a node that has its notice."""

    node: str
    uid: str
    deleted: datetime | None = None  # when its deletion began: an eviction that was allowed
    term: datetime | None = None  # when the kubelet sends SIGTERM
    grace_ends: datetime | None = None
    silent: datetime | None = None  # when its endpoint was no longer ready
    gone: datetime | None = None


@dataclass(repr=False)
class World:
    """The sample at its peak on nodes of its own: two on demand, six spot nodes that it fills, one for head room."""

    fleet: Fleet
    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    notices: dict[str, datetime] = field(default_factory=dict)
    pods: dict[str, Leaving] = field(default_factory=dict)
    refused: int = 0  # evictions
    before: set[str] = field(default_factory=set)  # pods that must stay
    community: str = ""
    base: int = 0
    burst: int = 0
    early: int = 0  # burst pods that serve when the first new node comes
    _drains: list[subprocess.Popen[str]] = field(default_factory=list)
    _nodes: int = 0

    def install(self) -> None:
        client = self.fleet.client
        assert client.create(NAMESPACE, {"metadata": {"name": self.name}}).is_success
        made = next(one for one in yaml.safe_load_all(SAMPLE.read_text()) if one["kind"] == "Community")
        spec = made["spec"]
        here = {"podTemplate": {"spec": {"nodeSelector": {"site": self.name}}}}
        burst = spec["api"]["burst"]
        self.base, self.burst = spec["api"]["base"]["replicas"], burst["maxReplicas"]
        burst |= {"minReplicas": self.burst, "headroom": HEADROOM}
        spec["api"] |= here | self.changes
        # With stores of the operator's own, which a reclaim must not touch either.
        spec |= {
            "redis": {"mode": "managed", **here},
            "database": {"mode": "embedded", **here},
            "jobs": here,
            "media": here,
        }
        spec |= {"host": f"{self.name}.example.com", "publicUrl": f"https://{self.name}.example.com"}
        made["metadata"]["namespace"] = self.name
        for group, count in (("base", 2), ("spot", 7)):
            for _ in range(count):
                self.node(group)
        self.community = made["metadata"]["name"]
        for claim in (names.redis(self.community), names.mysql(self.community)):
            self._volume(claim)
        answer = client.create(COMMUNITY, made)
        assert answer.is_success, answer.text

    def node(self, group: str) -> None:
        """Let a node join, of one zone and the other in turn."""
        self._nodes += 1
        name = f"{self.name}-{group}-{self._nodes}"
        spot = group == "spot"
        labels = {
            "site": self.name,
            "kubernetes.io/hostname": name,
            "kubernetes.io/arch": "arm64",
            "topology.kubernetes.io/zone": f"ap-northeast-2{'ac'[self._nodes % 2]}",
            "eks.amazonaws.com/capacityType": "SPOT" if spot else "ON_DEMAND",
        }
        taints = [{"key": names.SPOT_TAINT, "value": "spot", "effect": "NoSchedule"}] if spot else []
        status = {"capacity": ROOM[group], "allocatable": ROOM[group]}
        made = {"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}, "status": status}
        answer = self.fleet.client.create(NODE, made)
        assert answer.is_success, answer.text

    def _volume(self, claim: str) -> None:
        """Make a volume for a claim, which any node can have."""
        spec = {
            "capacity": {"storage": "100Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/data"},
            "claimRef": {"namespace": self.name, "name": claim},
        }
        answer = self.fleet.client.create(VOLUME, {"metadata": {"name": f"{self.name}-{claim}"}, "spec": spec})
        assert answer.is_success, answer.text

    def serving(self, part: str) -> dict[str, Object]:
        """Return the ready pods of a tier or component that stay, by name."""
        return {
            pod["metadata"]["name"]: pod
            for pod in self.fleet.client.list(POD, self.name)
            if part in {pod["metadata"]["labels"].get(one) for one in (names.LABEL_TIER, names.LABEL_COMPONENT)}
            and "deletionTimestamp" not in pod["metadata"]
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
        }

    def staying(self) -> set[str]:
        """Return the uids of what must not leave with a spot node: base and the stores."""
        return {pod["metadata"]["uid"] for part in ("base", *STORES) for pod in self.serving(part).values()}

    def is_whole(self) -> bool:
        counts = {"base": self.base, "burst": self.burst, "headroom": HEADROOM, **dict.fromkeys(STORES, 1)}
        return all(len(self.serving(part)) == count for part, count in counts.items())

    def one_budget(self) -> None:
        """Put back the budget that both tiers had together; the operator keeps its hands off meanwhile."""
        client, community = self.fleet.client, self.community
        paused = {"metadata": {"annotations": {"bapsang.dev/paused": "a test changes the budgets"}}}
        client.patch(COMMUNITY, self.name, community, paused)

        def is_paused() -> bool:
            status = (client.get(COMMUNITY, self.name, community) or {}).get("status", {})
            return any(one["type"] == "Paused" and one["status"] == "True" for one in status.get("conditions", ()))

        eventually(is_paused, 60, "the Community is paused")
        budget = BY_NAME["PodDisruptionBudget"]
        client.delete(budget, self.name, names.api_burst(community))
        both = {"spec": {"selector": {"matchLabels": {names.LABEL_TIER: None}}}}
        client.patch(budget, self.name, names.api(community), both)

        def has_counted() -> bool:
            found = client.get(budget, self.name, names.api(community)) or {}
            return bool(found["status"].get("expectedPods") == self.base + self.burst)

        eventually(has_counted, 60, "the budget counts both tiers")

    def notice(self, node: str, folder: Path) -> None:
        """Give a spot node its two minutes: the handler taints it and drains it by the code of `kubectl drain`."""
        taints = (self.fleet.client.get(NODE, None, node) or {})["spec"].get("taints", [])
        taint = {"key": "aws-node-termination-handler/spot-itn", "value": "x", "effect": "NoSchedule"}
        self.fleet.client.patch(NODE, None, node, {"spec": {"taints": [*taints, taint]}})
        now, pods = self.fleet.client.list_at(POD, self.name)
        self.notices[node] = now
        for pod in pods:
            if pod["spec"].get("nodeName") == node and pod["metadata"]["labels"].get(names.LABEL_TIER):
                self.pods[pod["metadata"]["name"]] = Leaving(node, pod["metadata"]["uid"])
        found = programs()
        assert found is not None
        drain = ["kubectl", "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force"]
        options = [f"--kubeconfig={self.fleet.plane.admin}", f"--timeout={NOTICE.seconds}s"]
        log = (folder / f"drain-{node}").open("w")
        with log:
            self._drains.append(
                subprocess.Popen([str(found.kube), *drain, *options], stdout=log, stderr=log, text=True)
            )

    def look(self) -> datetime:
        """Note what has become of the pods since the last look. Returns the apiserver's time."""
        now, slices = self.fleet.client.list_at(ENDPOINTS, self.name)
        ready = {
            one["targetRef"]["name"]
            for found in slices
            for one in found["endpoints"] or ()
            if one["conditions"]["ready"]
        }
        for name, pod in self.pods.items():
            if pod.silent is None and name not in ready:
                pod.silent = now
        now, live = self.fleet.client.list_at(POD, self.name)
        there = {one["metadata"]["uid"]: one for one in live}
        for pod in self.pods.values():
            found = there.get(pod.uid)
            if found is None:
                pod.gone = pod.gone or now
            elif pod.deleted is None and "deletionTimestamp" in found["metadata"]:
                pod.grace_ends = datetime.strptime(
                    found["metadata"]["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ"
                ).replace(tzinfo=UTC)
                pod.deleted = pod.grace_ends - timedelta(seconds=found["metadata"]["deletionGracePeriodSeconds"])
                hook = found["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
                pod.term = pod.deleted + timedelta(seconds=hook["sleep"]["seconds"])
        return now

    def reclaim(self, folder: Path) -> None:
        """Give three full spot nodes their notice, and a fourth one soon after.

        Returns when all their pods are gone, or the nodes have ended.
        """
        burst = [pod["spec"]["nodeName"] for pod in self.serving("burst").values()]
        full = sorted(node for node in set(burst) if burst.count(node) == 2)
        begun = time.monotonic()
        for node in full[:3]:
            self.notice(node, folder)
        due = [(SECOND_NOTICE_SECONDS, lambda: self.notice(full[3], folder)), (NODE_SECONDS, self._order_nodes)]
        now = max(self.notices.values())
        while due or (any(pod.gone is None for pod in self.pods.values()) and now <= self._last_end()):
            if due and time.monotonic() - begun > due[0][0]:
                due.pop(0)[1]()
            now = self.look()
            time.sleep(0.5)
        for drain in self._drains:
            drain.wait(60)
        self.refused = sum((folder / f"drain-{node}").read_text().count("disruption budget") for node in self.notices)

    def _last_end(self) -> datetime:
        return max(self.notices.values()) + NOTICE

    def _order_nodes(self) -> None:
        self.early = len(self.serving("burst"))
        for _ in self.notices:
            self.node("spot")

    def late(self) -> list[str]:
        """Return the pods that were still there when their node ended."""
        return sorted(
            name for name, pod in self.pods.items() if pod.gone is None or pod.gone > self.notices[pod.node] + NOTICE
        )
