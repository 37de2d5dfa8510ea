"""The status of a Community: what the operator reports. Nothing here is ever read as an instruction, but for
`issuer`: what was issued cannot be found anywhere else."""

from __future__ import annotations

from typing import Any, Final

from bapsang_operator.resource.nodes import obj, text

#: Longest message of a condition, in characters: with a longer one the apiserver refuses the whole status.
MAX_MESSAGE: Final = 32_768


def _count(description: str) -> dict[str, Any]:
    return {"type": "integer", "format": "int32", "description": description}


_CONDITION: Final = obj(
    "One observation.",
    {
        "type": text("What is observed: Ready, Progressing, Degraded …", 316),
        "status": {"type": "string", "description": "True, False or Unknown.", "enum": ["True", "False", "Unknown"]},
        "reason": text("One word from a fixed list, for machines.", 1024),
        "message": text("A sentence for people: what, where and what to do.", MAX_MESSAGE),
        "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When status last changed."},
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "The metadata.generation that was observed.",
        },
    },
    required=["type", "status", "reason", "message", "lastTransitionTime"],
)

_COST: Final = obj(
    "What a month of spec.estate costs, in USD at list price without tax; amounts are text with two decimals.",
    {
        "monthlyUSD": text("The sum of the rows.", 20),
        "spotRangeUSD": text("The sum at the lowest and at the highest price of spot.", 42),
        "perMillionRequestsUSD": text("The sum by API requests.", 20),
        "revenueSharePercent": text("The sum in percent of spec.budget.monthlyRevenueUSD.", 20),
        "computeSaving": obj(
            "What the nodes save against x86 on demand, in percent.",
            {
                "likeForLikePercent": _count("Against the same node-hours."),
                "staticPeakPercent": _count("Against a fleet for the peak that never shrinks."),
            },
        ),
        "forecastAtMaxReplicasUSD": text(
            "The sum if burst.maxReplicas pods and media.maxReplicas photo workers ran all month.", 20
        ),
        "priceBook": text("Region of the price book.", 32),
        "asOf": text("Date of the oldest price.", 10),
        "rows": {
            "type": "array",
            "description": "Every row of the bill.",
            "items": obj(
                "One row: quantity times unitUSD.",
                {
                    "group": text("What it is for.", 64),
                    "price": text("Id of the price in the book.", 64),
                    "quantity": text("Units a month.", 32),
                    "unitUSD": text("Price of one unit.", 32),
                    "usd": text("USD a month.", 20),
                    "formula": text("How the quantity comes about.", 256),
                },
            ),
        },
    },
)

#: `status` of a Community.
STATUS: Final = obj(
    "What the operator sees.",
    {
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "The metadata.generation that was acted on; -1 before the first one was.",
        },
        "url": text("Where users reach the community.", 300),
        "issuer": text("Issuer of tokens (claim iss). Stays when the URL changes; spec.auth.issuer overrides it.", 300),
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
        "cost": _COST,
        "conditions": {
            "type": "array",
            "description": "Ready, Progressing, Degraded, Migrated, DatabaseReady, RedisReady, LikeSyncHealthy, "
            "Prewarmed, Paused; Reconciling or Stalled while one of them is True; with spec.mail also MailReady; with "
            "spec.estate also CostWithinBudget, NoSinglePointOfFailure, SpotFloorHeld.",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
            "items": _CONDITION,
        },
    },
    # Without it kstatus, and so Flux and Helm, take a Community that no operator has looked at for finished.
    default={"observedGeneration": -1},
)
