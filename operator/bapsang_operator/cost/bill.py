"""The bill: every row is a quantity times a price of the book, with the formula that a reader can follow.

Rows come in groups, and each group depends on few fields of the design, so that `search` can price them apart.
"""

from __future__ import annotations

from typing import Final

from bapsang_operator.cost.design import HOURS, Design, Egress, Traffic, instance
from bapsang_operator.cost.photos import photos, uploads
from bapsang_operator.cost.prices import PriceBook
from bapsang_operator.cost.row import Group, Row, shown

_FREE_EGRESS_GB: Final = 100.0
_NODE_DISK_GB: Final = 20.0
_DATABASE_VCPU: Final = 2


def _cluster(_design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    return [Row("EKS", "eks.cluster", HOURS, book["eks.cluster"], "730 h")]


def compute(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of nodes and their disks."""
    hours = design.hours(traffic)
    rows = [_base(design, book)]
    if design.burst_nodes:
        price = book.spot(design.burst_type)[1] if design.spot else book[f"ec2.{design.burst_type}"]
        kind = "spot" if design.spot else "on demand"
        formula = f"{design.burst_nodes} × {design.burst_type} × {shown(hours)} h, {kind}"
        rows.append(Row("EC2", f"ec2.{design.burst_type}", design.burst_nodes * hours, price, formula))
    rows += _surplus(design, hours, book)
    disks = design.base_nodes + design.burst_nodes * hours / HOURS
    formula = f"20 GB × ({design.base_nodes} + {design.burst_nodes} × {shown(hours)}/730)"
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
    formula = f"{shown(above)} vCPU above the baseline × {shown(hours)} h"
    return [Row("EC2", "ec2.surplus", above * hours, book["ec2.surplus"], formula)]


def database(design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the rows of MySQL."""
    instances = (2 if design.database_multi_az else 1) + (1 if design.database_replica else 0)
    gigabytes = instances * design.database_storage_gb
    rows = [
        Row("RDS", f"rds.{design.database}", instances * HOURS, book[f"rds.{design.database}"], f"{instances} × 730 h"),
        Row(
            "RDS storage",
            "rds.gp3",
            gigabytes,
            book["rds.gp3"],
            f"{instances} × {shown(design.database_storage_gb)} GB",
        ),
        Row(
            "RDS backup",
            "rds.backup",
            design.backup_gb,
            book["rds.backup"],
            f"{shown(design.backup_gb)} GB beyond free",
        ),
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
        Row("Load balancer", "alb.lcu", units * HOURS, book["alb.lcu"], f"{shown(units)} GB an hour × 730 h"),
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
            Row("Egress", "endpoint.data", gigabytes, book["endpoint.data"], f"{shown(gigabytes)} GB"),
        ]
    addresses = Row("Egress", "ipv4", zones * HOURS, book["ipv4"], f"{zones} addresses × 730 h")
    if design.egress is Egress.NAT_INSTANCES:
        return [Row("Egress", "ec2.t4g.nano", zones * HOURS, book["ec2.t4g.nano"], f"{zones} × 730 h"), addresses]
    return [
        Row("Egress", "nat.hour", zones * HOURS, book["nat.hour"], f"{zones} × 730 h"),
        Row("Egress", "nat.data", gigabytes, book["nat.data"], f"{shown(gigabytes)} GB"),
        addresses,
    ]


def responses(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the row of what API responses cost on their way to users."""
    size = traffic.compressed_kb if design.compress else traffic.response_kb
    gigabytes = traffic.requests_millions * size
    formula = f"{shown(traffic.requests_millions)} M × {size:g} KB − 100 GB"
    return [Row("API egress", "egress", max(0.0, gigabytes - _FREE_EGRESS_GB), book["egress"], formula)]


def transfer(design: Design, traffic: Traffic, book: PriceBook) -> list[Row]:
    """Return the row of traffic between pods and stores in other zones: EC2 bills its side of it, RDS and ElastiCache nothing."""
    gigabytes = traffic.requests_millions * traffic.internal_kb * design.cross_zone
    formula = f"{shown(traffic.requests_millions)} M × {traffic.internal_kb:g} KB × {design.cross_zone:g}"
    return [Row("Between zones", "zone-transfer", gigabytes, book["zone-transfer"], formula)]


def _observability(design: Design, _traffic: Traffic, book: PriceBook) -> list[Row]:
    return [
        Row("CloudWatch", "logs", design.log_gb, book["logs"], f"{shown(design.log_gb)} GB of logs"),
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
    uploads,
    transfer,
    _observability,
    _small,
)
#: Groups that `search` does not vary.
FIXED: Final[tuple[Group, ...]] = (_cluster, _observability, _small)


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
