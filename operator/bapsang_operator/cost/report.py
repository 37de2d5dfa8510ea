"""What the bill means: per million requests, as a share of revenue, against x86, against a fleet that never shrinks."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bapsang_operator.cost import bill
from bapsang_operator.cost.design import HOURS, Design, Traffic, instance
from bapsang_operator.cost.prices import PriceBook
from bapsang_operator.cost.row import Row


@dataclass(frozen=True)
class Report:
    """A month of a design. Savings are shares in 0–1 of what the comparison costs.

    `like_for_like`: the same node-hours on x86 on demand. `static_peak`: x86 on demand, as many nodes as the peak needs,
    all month. Both, because either can be made to look good alone. `revenue_share` is None without a revenue.
    """

    rows: tuple[Row, ...]
    usd: float
    spot_low: float
    spot_high: float
    per_million: float
    revenue_share: float | None
    like_for_like: float
    static_peak: float
    forecast: float


def report(design: Design, traffic: Traffic, book: PriceBook, max_burst_nodes: int | None = None) -> Report:
    """Return the whole report. `forecast` is the bill when `max_burst_nodes` (default: the design's) run all month.

    Raises PriceError for what the book has no price of.
    """
    rows = tuple(bill.rows(design, traffic, book))
    usd = sum(row.usd for row in rows)
    low, high = bill.spot_range(design, traffic, book)
    nodes = sum(row.usd for row in rows if row.group == "EC2" and row.price != "ec2.surplus")
    always = replace(
        design,
        burst_nodes=design.burst_nodes if max_burst_nodes is None else max_burst_nodes,
        burst_hours=HOURS,
    )
    return Report(
        rows=rows,
        usd=usd,
        spot_low=low,
        spot_high=high,
        per_million=usd / traffic.requests_millions,
        revenue_share=usd / traffic.revenue_usd if traffic.revenue_usd else None,
        like_for_like=1 - nodes / _x86(design, design.hours(traffic), book),
        static_peak=1 - nodes / _x86(design, HOURS, book),
        forecast=bill.total(bill.rows(always, traffic, book)),
    )


def _x86(design: Design, burst_hours: float, book: PriceBook) -> float:
    base = design.base_nodes * HOURS * book[f"ec2.{instance(design.base_type).x86}"]
    return base + design.burst_nodes * burst_hours * book[f"ec2.{instance(design.burst_type).x86}"]
