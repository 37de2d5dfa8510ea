"""Factories for the operator's unit tests: Communities, and live objects as an apiserver would return them."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from bapsang_operator import build, names
from bapsang_operator.build.child import Child
from bapsang_operator.conditions import events, status
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.names import Component
from bapsang_operator.planning import drift, plan, progress, route
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community, parse

IMAGE = "bapsang/api:0.1.0"
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
UID = "11111111-1111-1111-1111-111111111111"


def resource(**changes: Any) -> Manifest:
    """Return a Community resource with all defaults but `changes`."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": "c", "namespace": "ns", "uid": UID, "generation": 1, "resourceVersion": "1"},
        "spec": {"image": IMAGE, "host": "c.example.com", **changes},
    }


def community(**changes: Any) -> Community:
    return parse(resource(**changes))


class AllDigests(dict[tuple[str, str], str]):
    """Digests of secrets that all exist; `rotate` changes the value of one."""

    def __contains__(self, key: object) -> bool:
        return True

    def get(self, key: Any, _default: Any = None) -> Any:  # type: ignore[override]
        return super().get(key, "digest")


def children(wanted: Community, digests: dict[tuple[str, str], str] | None = None) -> list[Child]:
    return build.children(wanted, AllDigests() if digests is None else digests, has_keda=True, has_routes=True)


def pod_templates(found: list[Child]) -> dict[str, Manifest]:
    """Return the pod template of every child that has one, by the child's name."""
    templates = {}
    for child in found:
        body = child.manifest.get("spec", {})
        body = body.get("jobTemplate", {}).get("spec", body)
        if "template" in body:
            templates[f"{child.key.kind} {child.key.name}"] = body["template"]
    return templates


class Cluster:
    """Live objects; applies a plan as an apiserver would, and plays controllers."""

    def __init__(self, wanted: Community) -> None:
        self.community = wanted
        self.live: dict[Key, Manifest] = {}
        self.applied: dict[Key, Manifest] = {}

    def plan(self, found: list[Child] | None = None, baselines: dict[Key, drift.Baseline] | None = None) -> Plan:
        found = children(self.community) if found is None else found
        seen = progress.observe(self.community, found, self.live)
        spared = route.spared(self.community, self.live)
        return plan.make(self.community, found, self.live, seen, self.applied, baselines, spared)

    def step(self, found: list[Child] | None = None) -> Plan:
        """Plan and apply once."""
        made = self.plan(found)
        for apply in made.applies:
            self.put(apply.manifest)
        for gone in made.deletes:
            del self.live[key_of(gone)]
        for adjust in made.adjusts:
            self.live[key_of(adjust.live)]["spec"] |= adjust.fields
        return made

    def put(self, manifest: Manifest) -> None:
        key = key_of(manifest)
        live = drift.stamped(copy.deepcopy(manifest))
        before = self.live.get(key, {"metadata": {}})
        live["metadata"] |= {
            "uid": f"uid-{key}",
            "resourceVersion": "1",
            "generation": before["metadata"].get("generation", 0) + 1,
        }
        live["status"] = before.get("status", {})
        self.live[key] = live
        self.applied[key] = manifest

    def settle(self) -> None:
        """Let every controller finish what it has been given."""
        for key, live in self.live.items():
            generation = live["metadata"]["generation"]
            if key.kind in {"Deployment", "StatefulSet"}:
                count = live["spec"].get("replicas", 1)
                counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
                live["status"] = {"observedGeneration": generation, **dict.fromkeys(counts, count)}
            elif key.kind == "Job":
                self.end_job(key)
            elif key.kind == "HTTPRoute":
                accepted = [{"type": kind, "status": "True"} for kind in ("Accepted", "ResolvedRefs")]
                refs = live["spec"]["parentRefs"]
                live["status"] = {"parents": [{"parentRef": ref, "conditions": accepted} for ref in refs]}
            elif key.kind == "Ingress":
                live["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}

    def end_job(self, key: Key, kind: str = "Complete") -> None:
        self.live[key]["status"] = {"conditions": [{"type": kind, "status": "True"}]}

    def bring_up(self) -> None:
        """Apply and settle until nothing is left to do."""
        for _ in range(6):
            self.step()
            self.settle()
        assert not self.plan().applies

    def at(self, kind: str, name: str) -> Manifest:
        return self.live[Key(kind, "ns", name)]


def migration_key(wanted: Community) -> Key:
    return next(child.key for child in children(wanted) if child.key.kind == "Job")


def pod(
    component: Component, *, tier: str | None = None, name: str = "p", job: str | None = None, **status: Any
) -> Manifest:
    labels: dict[str, str] = {names.LABEL_COMMUNITY: "c", names.LABEL_COMPONENT: component}
    if tier is not None:
        labels[names.LABEL_TIER] = tier
    if job is not None:
        labels["batch.kubernetes.io/job-name"] = job
    created = {"creationTimestamp": "2026-11-23T10:00:00Z"}
    metadata = {"name": name, "namespace": "ns", "labels": labels, **created}
    return {"kind": "Pod", "metadata": metadata, "status": status}


def status_of(
    cluster: Cluster,
    old: Manifest | None = None,
    found: list[Problem] | None = None,
    planned: Plan | None = None,
    **more: Any,
) -> Manifest:
    """Return the status that a Community has after `old`, with problems `found`."""
    wanted = children(cluster.community)
    seen = Observation(
        cluster.community,
        progress.observe(cluster.community, wanted, cluster.live),
        planned if planned is not None else cluster.plan(),
        found or [],
        more.get("like_sync"),
        more.get("windows", []),
        sees_all=more.get("sees_all", True),
        parents=route.parents(cluster.community, wanted, cluster.live),
    )
    return status.compute(seen, old or {}, more.get("now", NOW))


def condition_of(found: Manifest, kind: str) -> Manifest:
    return next(one for one in found["conditions"] if one["type"] == kind)


def reasons_of(old: Manifest, new: Manifest) -> list[str]:
    return [str(event.reason) for event in events.transitions(old, new)]
