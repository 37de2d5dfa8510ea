"""The status of a Community: what the operator reports. Nothing here is ever read as an instruction."""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator.schema.fields import obj, text


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int32", "description": description}


_CONDITION: Final = obj(
    "One observation.",
    {
        "type": text("What is observed: Ready, Progressing, Degraded …", 316),
        "status": {"type": "string", "description": "True, False or Unknown.", "enum": ["True", "False", "Unknown"]},
        "reason": text("One word from a fixed list, for machines.", 1024),
        "message": text("A sentence for people: what, where and what to do.", 32_768),
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When status last changed."},
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "The metadata.generation that was observed.",
        },
    },
    required=["type", "status", "reason", "message", "lastTransitionTime"],
)

#: `status` of a Community.
STATUS: Final = obj(
    "What the operator sees.",
    {
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "The metadata.generation that was acted on.",
        },
        "url": text("Where users reach the community.", 300),
        "image": text("Image that serves; equals spec.image once it is rolled out.", 512),
        "replicas": obj(
            "Ready pods.",
            {
                "base": _count("Ready pods of the base tier."),
                "burst": _count("Ready pods of the burst tier."),
                "ready": _count("Ready pods of both."),
            },
        ),
        "migration": obj(
            "The database migration of spec.image.",
            {
                "hash": text("Suffix of the Job's name.", 16),
                "state": text("Pending, Running, Succeeded or Failed.", 16),
            },
        ),
        "conditions": {
            "type": "array",
            "description": "Ready, Progressing, Degraded, Migrated, DatabaseReady, RedisReady, LikeSyncHealthy, "
            "Prewarmed, Paused.",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": _CONDITION,
        },
    },
)
