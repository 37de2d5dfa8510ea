"""The bill: every row is a quantity times a price of the book, with the formula that a reader can follow.

Rows come in groups, and each group depends on few fields of the design, so that `search` can price them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bapsang_operator.cost.design import DAYS, HOURS, PLAN_REQUESTS, Cdn, Design, Egress, Traffic, instance
from bapsang_operator.cost.prices import PriceBook

_FREE_EGRESS_GB: Final = 100.0
_FREE_CDN_GB: Final = 1024.0
_FREE_CDN_MILLIONS: Final = 10.0
_FREE_LAMBDA_MILLIONS: Final = 1.0
_FREE_LAMBDA_GB_SECONDS: Final = 400_000.0
#: The presign function: 256 MB for at most 20 ms.
_LAMBDA_GB_SECONDS: Final = 0.25 * 0.02
_NODE_DISK_GB: Final = 20.0
#: Share of photo views that the CDN fetches from the bucket.
_CDN_MISSES: Final = 0.05
_ARCHIVE_AFTER_DAYS: Final = 30.0
#: S3 storage that the business plan pays for.
_BUSINESS_CREDIT_GB: Final = 1000.0
_DATABASE_VCPU: Final = 2


@dataclass(frozen=True)
class Row:
    """One line of the bill. `usd` a month is `quantity` times `unit_usd`."""

    group: str
    price: str
    quantity: float
    unit_usd: float
    formula: str

    @property
    def usd(self) -> float:
        """USD a month."""
        return self.quantity * self.unit_usd


Group = Callable[[Design, Traffic, PriceBook], list[Row]]


def _n(number: float) -> str:
    return f"{number:,.6g}"


def _cluster(_design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    return [Row("EKS", "eks.cluster", HOURS, book["eks.cluster"], "730 h")]


def compute(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of nodes and their disks."""
    hours = design.hours(traffic)
    rows = [_base(design, book)]
    if design.burst_nodes:
        price = book.spot(design.burst_type)[1] if design.spot else book[f"ec2.{design.burst_type}"]
        kind = "spot" if design.spot else "on demand"
        formula = f"{design.burst_nodes} × {design.burst_type} × {_n(hours)} h, {kind}"
        rows.append(Row("EC2", f"ec2.{design.burst_type}", design.burst_nodes * hours, price, formula))
    rows += _surplus(design, hours, book)
    disks = design.base_nodes + design.burst_nodes * hours / HOURS
    formula = f"20 GB × ({design.base_nodes} + {design.burst_nodes} × {_n(hours)}/730)"
    return [*rows, Row("EBS", "ebs.gp3", _NODE_DISK_GB * disks, book["ebs.gp3"], formula)]


def _base(design: Design, book: PriceBook) -> Row:
    formula = f"{design.base_nodes} × {design.base_type} × 730 h"
    if design.commitment:
        formula += f" × (1 − {design.commitment:g})"
    quantity = design.base_nodes * HOURS * (1 - design.commitment)
    return Row("EC2", f"ec2.{design.base_type}", quantity, book[f"ec2.{design.base_type}"], formula)


def _surplus(design: Design, hours: float, book: PriceBook) -> list[Row]:
    """A burstable vCPU above its baseline is billed by the hour, when the fleet runs hot in the peak."""
    if design.peak_utilisation is None:
        return []
    above = 0.0
    for kind, count in ((design.base_type, design.base_nodes), (design.burst_type, design.burst_nodes)):
        above += count * instance(kind).vcpu * max(0.0, design.peak_utilisation - instance(kind).baseline)
    if above == 0.0:
        return []
    formula = f"{_n(above)} vCPU above the baseline × {_n(hours)} h"
    return [Row("EC2", "ec2.surplus", above * hours, book["ec2.surplus"], formula)]


def database(design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of MySQL."""
    instances = (2 if design.database_multi_az else 1) + (1 if design.database_replica else 0)
    gigabytes = instances * design.database_storage_gb
    rows = [
        Row("RDS", f"rds.{design.database}", instances * HOURS, book[f"rds.{design.database}"], f"{instances} × 730 h"),
        Row("RDS storage", "rds.gp3", gigabytes, book["rds.gp3"], f"{instances} × {_n(design.database_storage_gb)} GB"),
        Row("RDS backup", "rds.backup", design.backup_gb, book["rds.backup"], f"{_n(design.backup_gb)} GB beyond free"),
    ]
    if design.mysql_8_0:
        formula = f"{instances} × {_DATABASE_VCPU} vCPU × 730 h"
        quantity = instances * _DATABASE_VCPU * HOURS
        rows.append(Row("MySQL 8.0", "rds.extended-support", quantity, book["rds.extended-support"], formula))
    return rows


def cache(design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the row of Redis or Valkey; none when it runs in the cluster."""
    if not design.cache_nodes:
        return []
    name = f"cache.{design.cache_engine}.{design.cache}"
    return [Row("Cache", name, design.cache_nodes * HOURS, book[name], f"{design.cache_nodes} × 730 h")]


def balancer(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of the load balancer; it has an address in each zone."""
    units = traffic.requests_millions * traffic.balancer_kb / HOURS
    return [
        Row("Load balancer", "alb.hour", HOURS, book["alb.hour"], "730 h"),
        Row("Load balancer", "alb.lcu", units * HOURS, book["alb.lcu"], f"{_n(units)} GB an hour × 730 h"),
        Row("Load balancer", "ipv4", design.zones * HOURS, book["ipv4"], f"{design.zones} addresses × 730 h"),
    ]


def egress(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of the nodes' way out: endpoints in each zone, or a NAT in each zone."""
    zones, gigabytes = design.zones, traffic.node_gb
    if design.egress is Egress.ENDPOINTS:
        quantity = design.endpoints * zones * HOURS
        return [
            Row(
                "Egress",
                "endpoint.hour",
                quantity,
                book["endpoint.hour"],
                f"{design.endpoints} × {zones} zones × 730 h",
            ),
            Row("Egress", "endpoint.data", gigabytes, book["endpoint.data"], f"{_n(gigabytes)} GB"),
        ]
    addresses = Row("Egress", "ipv4", zones * HOURS, book["ipv4"], f"{zones} addresses × 730 h")
    if design.egress is Egress.NAT_INSTANCES:
        return [Row("Egress", "ec2.t4g.nano", zones * HOURS, book["ec2.t4g.nano"], f"{zones} × 730 h"), addresses]
    return [
        Row("Egress", "nat.hour", zones * HOURS, book["nat.hour"], f"{zones} × 730 h"),
        Row("Egress", "nat.data", gigabytes, book["nat.data"], f"{_n(gigabytes)} GB"),
        addresses,
    ]


def responses(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the row of what API responses cost on their way to users."""
    size = traffic.compressed_kb if design.compress else traffic.response_kb
    gigabytes = traffic.requests_millions * size
    formula = f"{_n(traffic.requests_millions)} M × {size:g} KB − 100 GB"
    return [Row("API egress", "egress", max(0.0, gigabytes - _FREE_EGRESS_GB), book["egress"], formula)]


def photos(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of photos: their way to users, and their place in the bucket."""
    return [*_views(design, traffic, book), *_storage(design, traffic, book), *_requests(design, traffic, book)]


def _views(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    views = traffic.photo_views_millions
    gigabytes = views * traffic.photo_kb
    if design.cdn is Cdn.NONE:
        return [
            Row("Photos", "egress", gigabytes, book["egress"], f"{_n(views)} M × {traffic.photo_kb:g} KB"),
            Row("Photos", "s3.get", views * 100, book["s3.get"], f"{_n(views)} M requests"),
        ]
    if design.cdn is Cdn.AS_USED:
        paid_gb, paid_views = max(0.0, gigabytes - _FREE_CDN_GB), max(0.0, views - _FREE_CDN_MILLIONS)
        return [
            Row("Photos", "cdn.egress", paid_gb, book["cdn.egress"], f"{_n(gigabytes)} GB − 1 TB"),
            Row("Photos", "cdn.requests", paid_views * 100, book["cdn.requests"], f"{_n(views)} M − 10 M"),
        ]
    name = f"cdn.{design.cdn.value}"
    formula = f"1 plan: {_n(views)} of {PLAN_REQUESTS[design.cdn]:g} M requests"
    return [Row("Photos", name, 1.0, book[name], formula)]


def _storage(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    days, a_day = traffic.days_stored, traffic.photos_a_day
    recent = min(days, _ARCHIVE_AFTER_DAYS) if design.archive_originals else days
    standard = a_day * (days * traffic.derived_mb + recent * traffic.original_mb) / 1000
    credit = _BUSINESS_CREDIT_GB if design.cdn is Cdn.BUSINESS else 0.0
    formula = f"{_n(standard)} GB" + (" − 1 TB of the plan" if credit else "")
    rows = [Row("S3 storage", "s3.standard", max(0.0, standard - credit), book["s3.standard"], formula)]
    if design.archive_originals:
        old = a_day * (days - recent) * traffic.original_mb / 1000
        moved = a_day * DAYS / 1000 if days > recent else 0.0
        rows.append(Row("S3 storage", "s3.archive", old, book["s3.archive"], f"{_n(old)} GB of originals"))
        rows.append(Row("S3 storage", "s3.transition", moved, book["s3.transition"], f"{_n(moved)} thousand moved"))
    return rows


def _requests(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    rows = [Row("S3 requests", "s3.put", traffic.put_millions * 1000, book["s3.put"], f"{traffic.put_millions:g} M")]
    if design.cdn is not Cdn.NONE:
        missed = traffic.photo_views_millions * _CDN_MISSES
        rows.append(Row("S3 requests", "s3.get", missed * 100, book["s3.get"], f"{_n(missed)} M past the CDN"))
    return rows


def _uploads(_design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    millions = traffic.presigns_millions
    seconds = max(0.0, millions * 1e6 * _LAMBDA_GB_SECONDS - _FREE_LAMBDA_GB_SECONDS)
    calls = max(0.0, millions - _FREE_LAMBDA_MILLIONS)
    return [
        Row("Uploads", "http-api", millions, book["http-api"], f"{millions:g} M"),
        Row("Uploads", "lambda.requests", calls, book["lambda.requests"], f"{millions:g} M − 1 M"),
        Row("Uploads", "lambda.compute", seconds, book["lambda.compute"], "0.005 GB-s each − 400,000"),
    ]


def transfer(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the row of traffic between zones, paid on both sides."""
    gigabytes = traffic.requests_millions * traffic.internal_kb * design.cross_zone
    formula = f"{_n(traffic.requests_millions)} M × {traffic.internal_kb:g} KB × {design.cross_zone:g}"
    return [Row("Between zones", "zone-transfer", gigabytes, book["zone-transfer"], formula)]


def _observability(design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    return [
        Row("CloudWatch", "logs", design.log_gb, book["logs"], f"{_n(design.log_gb)} GB of logs"),
        Row("CloudWatch", "alarm", float(design.alarms), book["alarm"], f"{design.alarms} alarms"),
        Row("CloudWatch", "metric", float(design.metrics), book["metric"], f"{design.metrics} metrics"),
    ]


def _small(_design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    return [
        Row("Small services", "small-services", 1.0, book["small-services"], "Route 53, SQS, SNS, ECR, secrets, keys")
    ]


#: Every group, in the order of the bill.
GROUPS: Final[tuple[Group, ...]] = (
    _cluster,
    compute,
    database,
    cache,
    balancer,
    egress,
    responses,
    photos,
    _uploads,
    transfer,
    _observability,
    _small,
)
#: Groups that `search` does not vary.
FIXED: Final[tuple[Group, ...]] = (_cluster, _uploads, _observability, _small)


def rows(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the bill of a month. Raises PriceError for what the book has no price of."""
    return [row for group in GROUPS for row in group(design, traffic, book)]


def total(found: list[Row]) -> float:
    """Return the sum of rows, USD a month."""
    return sum(row.usd for row in found)


def spot_range(design: Design, traffic: Traffic, book: PriceBook) -> tuple[float, float]:
    """Return the total at the lowest and at the highest spot price, USD a month."""
    usual = total(rows(design, traffic, book))
    if not design.spot or not design.burst_nodes:
        return usual, usual
    low, middle, high = book.spot(design.burst_type)
    hours = design.burst_nodes * design.hours(traffic)
    return usual + hours * (low - middle), usual + hours * (high - middle)
