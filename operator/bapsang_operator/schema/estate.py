"""`spec.estate` and `spec.budget`: what carries the Community on AWS, what comes to it, and what it may cost.

The operator creates nothing of this and reads no price from anywhere but its price book: it computes status.cost.
"""

from __future__ import annotations

from typing import Final

from bapsang_operator.schema.fields import boolean, integer, obj, text

_TRAFFIC: Final = obj(
    "What comes to the community.",
    {
        "averageQPS": integer("API requests a second over the month.", 1, 1_000_000, default=232),
        "peakQPS": integer(
            "API requests a second that must be carried with one zone lost.", 1, 1_000_000, default=2315
        ),
        "peakHours": integer("Hours a day that burst nodes run.", 0, 24, default=4),
        "cpuMicroseconds": integer("CPU time of one request, on one vCPU of the nodes.", 1, 1_000_000, default=2000),
        "photoViewsMillions": integer("Photos shown a month, in millions.", 0, 1_000_000, default=122),
        "photosPerDay": integer("Photos uploaded a day.", 0, 100_000_000, default=15_000),
    },
    default={},
)

#: No default: without it nothing is priced.
ESTATE: Final = obj(
    "The AWS estate that carries the community, for status.cost. Nothing is created from it; manifests/aws does that.",
    {
        "zones": integer("Zones.", 1, 3, default=2),
        "baseNodes": obj(
            "On-demand nodes, all month.",
            {
                "type": text("Instance type.", 32, default="t4g.medium"),
                "count": integer("Number.", 1, 1000, default=2),
                "commitmentPercent": integer("What a commitment takes off their price.", 0, 75, default=0),
            },
            default={},
        ),
        "burstNodes": obj(
            "Spot nodes, in peak hours.",
            {
                "type": text("Instance type that is priced.", 32, default="c7g.large"),
                "count": integer("Number at the peak.", 0, 1000, default=6),
            },
            default={},
        ),
        "egress": {
            "type": "string",
            "description": "How nodes reach AWS.",
            "enum": ["endpoints", "nat-gateways", "nat-instances"],
            "default": "nat-instances",
        },
        "database": obj(
            "RDS for MySQL 8.4.",
            {
                "type": text("Instance class.", 32, default="db.t4g.medium"),
                "multiAZ": boolean("A standby in another zone.", True),
                "replica": boolean("A read replica.", False),
                "storageGB": integer("Storage of each instance.", 20, 65_536, default=50),
            },
            default={},
        ),
        "cache": obj(
            "ElastiCache for Valkey. Ignored with redis.mode managed.",
            {
                "type": text("Node type.", 32, default="cache.t4g.micro"),
                "count": integer("Nodes.", 1, 6, default=2),
            },
            default={},
        ),
        "cdn": {
            "type": "string",
            "description": "How photos reach users: from the bucket, by CloudFront as used, or by a flat plan of it.",
            "enum": ["none", "as-used", "pro", "business", "premium"],
            "default": "business",
        },
        "traffic": _TRAFFIC,
    },
)

BUDGET: Final = obj(
    "What the estate may cost; judged by the condition CostWithinBudget. Amounts are whole, because numbers with a point "
    "do not survive every client unchanged.",
    {
        "monthlyUSD": integer("Most that a month may cost.", 1, 100_000_000),
        "monthlyRevenueUSD": integer("What the community earns in a month.", 1, 1_000_000_000),
        "maxCostPercent": integer("Most that it may cost, in percent of the revenue.", 1, 100, default=10),
    },
)
