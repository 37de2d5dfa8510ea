"""The whole status of a Community. Pure."""

from __future__ import annotations

from datetime import datetime

from bapsang_operator.conditions import compute as conditions
from bapsang_operator.conditions import costing, degraded, stalled
from bapsang_operator.conditions.condition import Condition, as_list
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.problem import Problem


def compute(observed: Observation, old: Manifest, now: datetime) -> Manifest:
    """Return the whole status. Times of conditions move only when their status does, so an unchanged world yields an
    unchanged status."""
    community, progress = observed.community, observed.progress
    cost = None if community.estate is None else costing.assess(community, community.estate, now.date())
    status: Manifest = {
        "observedGeneration": community.generation,
        "url": community.url,
        "issuer": community.issuer,
        "replicas": {
            "base": progress.base.ready,
            "burst": progress.burst.ready,
            "ready": progress.base.ready + progress.burst.ready,
        },
        "migration": {"hash": progress.job.rpartition("-")[2], "state": progress.migration.value},
        "conditions": as_list(conditions.compute(observed, old, cost), community.generation, old, now),
    }
    image = progress.base.image if progress.base.rolled_out else old.get("image")
    if image is not None:
        status["image"] = image
    if cost is not None and cost.block is not None:
        status["cost"] = cost.block
    return status


def invalid(generation: int, problems: list[Problem], old: Manifest, now: datetime) -> Manifest:
    """Return the status of a Community whose spec this operator refuses: everything is left running as it was."""
    blocked = "The spec is not valid: nothing is changed until it is. What runs stays in service."
    return {**_halted(generation, blocked, problems, old, now), "observedGeneration": generation}


def internal_error(generation: int, found: Problem, old: Manifest, now: datetime) -> Manifest:
    """Return the status of a Community whose pass ended in an exception. `observedGeneration` stays: the generation was
    not acted on."""
    return _halted(generation, f"A pass over this Community fails ({found.reason}): see Degraded.", [found], old, now)


def _halted(generation: int, blocked: str, problems: list[Problem], old: Manifest, now: datetime) -> Manifest:
    """Return `old` with the conditions of a Community for which nothing can be done; the others stay as they were."""
    changed = {
        ConditionType.PROGRESSING: Condition("False", Reason.BLOCKED, blocked),
        ConditionType.DEGRADED: degraded.condition(problems),
        ConditionType.STALLED: stalled.of_problem(problems[0]),
    }
    gone = {ConditionType.RECONCILING, *changed}
    found = [condition for condition in old.get("conditions", ()) if condition["type"] not in gone]
    found += as_list(changed, generation, old, now)
    # By text: a newer version may have written types that this one does not know, and must not raise after a rollback.
    order = {kind.value: place for place, kind in enumerate(ConditionType)}
    return {**old, "conditions": sorted(found, key=lambda condition: order.get(condition["type"], len(order)))}
