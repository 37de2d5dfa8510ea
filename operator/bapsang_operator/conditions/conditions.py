"""The conditions of a status, as the API has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bapsang_operator.conditions.judgement import Judgement
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType
from bapsang_operator.resource.status import MAX_MESSAGE


def by_type(status: Manifest) -> dict[str, Manifest]:
    """Return the conditions of a status, by their type."""
    return {condition["type"]: condition for condition in status.get("conditions", ())}


def made(
    judgements: Mapping[ConditionType, Judgement], generation: int, old: Manifest, now: datetime
) -> list[Manifest]:
    """Return the conditions of a status that takes the place of `old`: what is judged, in the order of ConditionType.
    Their times move only when their status does."""
    before = by_type(old)
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    found = []
    for kind in ConditionType:
        judged = judgements.get(kind)
        if judged is None:
            continue
        earlier = before.get(kind)
        kept = earlier is not None and earlier["status"] == judged.status
        found.append(
            {
                "type": kind.value,
                "status": judged.status,
                "reason": judged.reason.value,
                "message": judged.message[:MAX_MESSAGE],
                "lastTransitionTime": earlier["lastTransitionTime"] if kept and earlier is not None else stamp,
                "observedGeneration": generation,
            }
        )
    return found
