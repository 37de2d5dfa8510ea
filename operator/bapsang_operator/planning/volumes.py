"""Volume claims compared with the live ones: a volume neither shrinks nor moves, whatever the spec says. Pure."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from bapsang_operator import names
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Reason
from bapsang_operator.planning import drift
from bapsang_operator.planning.progress import Live
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community, quantity


def fitted(community: Community, children: list[Child], live: Live) -> tuple[list[Child], list[Problem]]:
    """Return the children with claims that the apiserver takes, and a problem for each that the spec wants otherwise."""
    fit, found = [], []
    for child in children:
        claim = live.get(child.key) if child.key.kind == "PersistentVolumeClaim" else None
        if claim is None or "deletionTimestamp" in claim["metadata"]:
            fit.append(child)
            continue
        manifest, problem = _fit(community, child, claim)
        fit.append(child if manifest is None else replace(child, manifest=manifest))
        found += [problem] if problem else []
    return fit, found


def _fit(community: Community, child: Child, claim: Manifest) -> tuple[Manifest | None, Problem | None]:
    wanted, is_class = child.manifest["spec"], claim["spec"].get("storageClassName")
    size, requested = _size(wanted), _size(claim["spec"])
    text = ""
    spec: dict[str, Any] = copy.deepcopy(wanted)
    if "storageClassName" in wanted and is_class not in (None, wanted["storageClassName"]):
        text = f"has StorageClass {is_class}, and spec.{_field(community, child)}.storageClassName says otherwise"
        spec["storageClassName"] = is_class
    elif "storageClassName" not in wanted and is_class and drift.applied_digest(claim) != child.digest:
        # The class is the claim's for good. It was the default one, or named by the spec at that time.
        spec["storageClassName"] = is_class
    capacity = claim.get("status", {}).get("capacity", {}).get("storage")
    floor = quantity.parse(requested if capacity is None else capacity)
    # A growth that has not come about may be taken back, but no request to what the volume has, which is as good.
    if quantity.parse(size) < quantity.parse(requested) and quantity.parse(size) <= floor:
        if quantity.parse(size) < floor:
            text = text or f"asks for {requested}, and spec.{_field(community, child)}.size is less"
        spec["resources"]["requests"]["storage"] = requested
    problem = _problem(community, child, claim, text) if text else None
    return (None if spec == wanted else {**child.manifest, "spec": spec}), problem


def _problem(community: Community, child: Child, claim: Manifest, text: str) -> Problem:
    name = child.key.name
    if claim.get("status", {}).get("phase") == "Bound":
        what = "The volume stays as it is, with its data: set the spec back"
    else:
        what = (
            f"It has no volume yet, so nothing is lost: kubectl -n {community.namespace} delete pvc {name}, and it is "
        )
        what += "made as specified"
    return Problem(Reason.VOLUME_NOT_AS_SPECIFIED, f"PersistentVolumeClaim {name} {text}. {what}.")


def _field(community: Community, child: Child) -> str:
    return "redis.persistence" if child.key.name == names.redis(community.name) else "database.storage"


def _size(spec: Manifest) -> str:
    return str(spec["resources"]["requests"]["storage"])
