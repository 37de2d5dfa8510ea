"""What the bill is computed from: the design of an estate and the traffic that it carries. Holds no price."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from bapsang_operator.cost.weights import MEASURED

#: Hours of a month, as AWS bills them, and days of a month.
HOURS: Final = 730.0
DAYS: Final = 30.4


class Egress(StrEnum):
    """How nodes reach AWS and the internet (`EgressMode` of manifests/aws)."""

    ENDPOINTS = "endpoints"
    NAT_GATEWAYS = "nat-gateways"
    NAT_INSTANCES = "nat-instances"


class Cdn(StrEnum):
    """How photos reach users: from the bucket, by CloudFront as used, or by one of its flat plans."""

    NONE = "none"
    AS_USED = "as-used"
    PRO = "pro"
    BUSINESS = "business"
    PREMIUM = "premium"


#: Photo requests a month that a flat plan includes, in millions.
PLAN_REQUESTS: Final = {Cdn.PRO: 10.0, Cdn.BUSINESS: 125.0, Cdn.PREMIUM: 500.0}
#: What each of them includes, in GB.
PLAN_GB: Final = 50_000.0


@dataclass(frozen=True)
class Instance:
    """An instance type: vCPUs, GiB of memory, the most pods that EKS runs on it (addresses of its network interfaces),
    and the share of each vCPU that a burstable one may use for ever."""

    vcpu: int
    memory: float
    pods: int
    baseline: float = 1.0
    x86: str = "c5.large"


class UnknownInstanceError(ValueError):
    """An instance type of which size and baseline are not known; the message names it."""


#: Instance types of nodes. `x86` is what the same node would be without Graviton, for the saving that is claimed.
INSTANCES: Final = {
    "t4g.medium": Instance(2, 4, 17, 0.2, "t3.medium"),
    "t4g.large": Instance(2, 8, 35, 0.3, "m7i.large"),
    "c7g.medium": Instance(1, 2, 8, 1.0, "c5.large"),
    "c7g.large": Instance(2, 4, 29),
    "m7g.large": Instance(2, 8, 29, 1.0, "m7i.large"),
}


def instance(kind: str) -> Instance:
    """Return what is known of an instance type. Raises UnknownInstanceError."""
    if kind not in INSTANCES:
        raise UnknownInstanceError(f"{kind}: unknown instance type; known are {', '.join(INSTANCES)}")
    return INSTANCES[kind]


@dataclass(frozen=True)
class Traffic:
    """A month of users. Sizes in KB or MB (decimal), rates a second, the rest by the day or month."""

    average_qps: float = 231.5
    peak_qps: float = 2315.0
    peak_hours_a_day: float = 4.0
    cpu_ms_per_request: float = 2.0
    #: A response of the mix as it leaves the load balancer, headers included, plain and compressed, as `make bench` measures them
    #: (docs/performance.md, "Bytes of answers").
    response_kb: float = 3.0
    compressed_kb: float = 1.5
    #: Request and response as the load balancer counts them, and between pods and stores.
    balancer_kb: float = 2.0
    internal_kb: float = 4.0
    photo_views_millions: float = 121.6
    #: What a view loads, what is uploaded and what is published of it (all variants), and what making that takes: measured
    #: (weights.py), as is nothing else of photos.
    photo_kb: float = MEASURED.view_kb
    photos_a_day: float = 15_000.0
    original_mb: float = MEASURED.upload_mb
    derived_mb: float = MEASURED.photo_mb
    photo_files: float = MEASURED.files
    cpu_seconds_per_photo: float = MEASURED.cpu_seconds
    #: Assumed: how many of them are deleted or hidden.
    removed_share: float = 0.01
    #: Days for which photos have been gathering; the bill of month 12 is that of 365.
    days_stored: float = 365.0
    #: Uploads a month: those of posts, of profiles, and those that nothing ever used.
    presigns_millions: float = 0.76
    #: Traffic of nodes to AWS other than S3.
    node_gb: float = 20.0
    revenue_usd: float = 0.0

    @property
    def requests_millions(self) -> float:
        """API requests a month."""
        return self.average_qps * 86_400 * DAYS / 1e6

    @property
    def photo_gb(self) -> float:
        """Photos on their way to readers, GB a month."""
        return self.photo_views_millions * self.photo_kb

    @property
    def uploads_a_day(self) -> float:
        """Uploads, whatever becomes of them."""
        return self.presigns_millions * 1e6 / DAYS


@dataclass(frozen=True)
class Design:
    """An estate. Node counts are of nodes, hours are node-hours a month of one burst node."""

    zones: int = 2
    base_type: str = "t4g.medium"
    base_nodes: int = 2
    burst_type: str = "c7g.large"
    burst_nodes: int = 6
    #: None: the peak hours of the traffic.
    burst_hours: float | None = None
    spot: bool = True
    #: Share that a one-year commitment takes off the base nodes, 0–1.
    commitment: float = 0.0
    #: CPU share at which T4g nodes run in the peak; above the baseline it is billed. None: within the baseline.
    peak_utilisation: float | None = None
    egress: Egress = Egress.ENDPOINTS
    endpoints: int = 6
    database: str = "db.t4g.medium"
    database_multi_az: bool = True
    database_replica: bool = False
    database_storage_gb: float = 100.0
    backup_gb: float = 25.0
    #: MySQL 8.0 is in paid extended support.
    mysql_8_0: bool = False
    cache: str = "cache.t4g.small"
    cache_engine: str = "valkey"
    cache_nodes: int = 2
    cdn: Cdn = Cdn.BUSINESS
    #: Days after which originals are deleted (spec.originals.days).
    originals_days: float = 30.0
    #: Variants are made by the check function as uploads come (CheckUploads), not by c-media as posts name them.
    check_function: bool = False
    compress: bool = False
    #: Share of internal traffic that crosses zones, 0–1.
    cross_zone: float = 0.25
    log_gb: float = 10.0
    alarms: int = 12
    metrics: int = 10

    def hours(self, traffic: Traffic) -> float:
        """Return the hours a month that a burst node runs."""
        return traffic.peak_hours_a_day * DAYS if self.burst_hours is None else self.burst_hours


REFERENCE: Final = Traffic()
LEAN: Final = Design()
#: The cheapest that has no single point of failure; `search` finds it again.
CHEAPEST: Final = replace(
    LEAN,
    commitment=0.30,
    egress=Egress.NAT_INSTANCES,
    database_storage_gb=50.0,
    backup_gb=10.0,
    cache="cache.t4g.micro",
    compress=True,
    log_gb=5.0,
)
#: The design that this project started from, with everything on its bill.
ORIGINAL: Final = Design(
    burst_type="t4g.medium",
    burst_nodes=10,
    burst_hours=86.4,
    peak_utilisation=0.6,
    endpoints=8,
    database="db.m5.large",
    database_multi_az=False,
    database_replica=True,
    database_storage_gb=200.0,
    backup_gb=50.0,
    cache_engine="redis",
    cdn=Cdn.NONE,
    originals_days=365.0,
    cross_zone=0.5,
    log_gb=180.0,
)
#: What `--design` of the command line names.
NAMED: Final = {"lean": LEAN, "cheapest": CHEAPEST, "original": ORIGINAL}
