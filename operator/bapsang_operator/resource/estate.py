"""`spec.estate` and `spec.budget`: what carries the Community on AWS, what comes to it, and what it may cost.

The operator creates nothing of this and reads no price from anywhere but its price book: it computes status.cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bapsang_operator.resource.declare import Wire
from bapsang_operator.resource.nodes import boolean, choice, integer, text


@dataclass(frozen=True)
class Traffic:
    """What comes to the community."""

    average_qps: Annotated[
        int, integer("API requests a second over the month.", 1, 1_000_000, default=232), Wire("averageQPS")
    ]
    peak_qps: Annotated[
        int,
        integer("API requests a second that must be carried with one zone lost.", 1, 1_000_000, default=2315),
        Wire("peakQPS"),
    ]
    peak_hours: Annotated[int, integer("Hours a day that burst nodes run.", 0, 24, default=4)]
    cpu_microseconds: Annotated[
        int, integer("CPU time of one request, on one vCPU of the nodes.", 1, 1_000_000, default=2000)
    ]
    photo_views_millions: Annotated[int, integer("Photos shown a month, in millions.", 0, 1_000_000, default=122)]
    photos_per_day: Annotated[int, integer("Photos uploaded a day.", 0, 100_000_000, default=15_000)]


@dataclass(frozen=True)
class BaseNodes:
    """On-demand nodes, all month."""

    type: Annotated[str, text("Instance type.", 32, default="t4g.medium")]
    count: Annotated[int, integer("Number.", 1, 1000, default=2)]
    commitment_percent: Annotated[int, integer("What a commitment takes off their price.", 0, 75, default=0)]


@dataclass(frozen=True)
class BurstNodes:
    """Spot nodes, in peak hours."""

    type: Annotated[str, text("Instance type that is priced.", 32, default="c7g.large")]
    count: Annotated[int, integer("Number at the peak.", 0, 1000, default=6)]


@dataclass(frozen=True)
class Rds:
    """RDS for MySQL 8.4."""

    type: Annotated[str, text("Instance class.", 32, default="db.t4g.medium")]
    multi_az: Annotated[bool, boolean("A standby in another zone.", True), Wire("multiAZ")]
    replica: Annotated[bool, boolean("A read replica.", False)]
    storage_gb: Annotated[int, integer("Storage of each instance.", 20, 65_536, default=50), Wire("storageGB")]


@dataclass(frozen=True)
class Cache:
    """ElastiCache for Valkey. Ignored with redis.mode managed."""

    type: Annotated[str, text("Node type.", 32, default="cache.t4g.micro")]
    count: Annotated[int, integer("Nodes.", 1, 6, default=2)]


@dataclass(frozen=True)
class Estate:
    """The AWS estate that carries the community, for status.cost. Nothing is created from it; manifests/aws does that."""

    zones: Annotated[int, integer("Zones.", 1, 3, default=2)]
    base_nodes: BaseNodes
    burst_nodes: BurstNodes
    egress: Annotated[
        str,
        choice("How nodes reach AWS.", ["endpoints", "nat-gateways", "nat-instances"], default="nat-instances"),
    ]
    database: Rds
    cache: Cache
    cdn: Annotated[
        str,
        choice(
            "How photos reach users: from the bucket, by CloudFront as used, or by a flat plan of it.",
            ["none", "as-used", "pro", "business", "premium"],
            default="business",
        ),
    ]
    traffic: Traffic


@dataclass(frozen=True)
class Budget:
    """What the estate may cost; judged by the condition CostWithinBudget. Amounts are whole, because numbers with a point
    do not survive every client unchanged.

    Limits are in USD a month.
    """

    monthly_usd: Annotated[int | None, integer("Most that a month may cost.", 1, 100_000_000), Wire("monthlyUSD")]
    revenue_usd: Annotated[
        int | None, integer("What the community earns in a month.", 1, 1_000_000_000), Wire("monthlyRevenueUSD")
    ]
    max_percent: Annotated[
        int,
        integer("Most that it may cost, in percent of the revenue.", 1, 100, default=10),
        Wire("maxCostPercent"),
    ]
