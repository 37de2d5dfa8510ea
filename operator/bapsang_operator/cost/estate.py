"""Typed view of `spec.estate` and `spec.budget`: whole numbers of the resource become the units of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bapsang_operator.cost.design import Cdn, Design, Egress, Traffic


@dataclass(frozen=True)
class Budget:
    """Limits in USD a month; None where none is set. `max_percent` is of the revenue."""

    monthly_usd: int | None
    revenue_usd: int | None
    max_percent: int


@dataclass(frozen=True)
class Estate:
    """What carries the Community on AWS, what comes to it, and what it may cost."""

    design: Design
    traffic: Traffic
    budget: Budget


def parse(estate: Mapping[str, Any], budget: Mapping[str, Any]) -> Estate:
    """Return the typed view of `spec.estate` and `spec.budget`, which have their defaults."""
    base, burst, database, traffic = (estate[name] for name in ("baseNodes", "burstNodes", "database", "traffic"))
    return Estate(
        design=Design(
            zones=estate["zones"],
            base_type=base["type"],
            base_nodes=base["count"],
            commitment=base["commitmentPercent"] / 100,
            burst_type=burst["type"],
            burst_nodes=burst["count"],
            egress=Egress(estate["egress"]),
            database=database["type"],
            database_multi_az=database["multiAZ"],
            database_replica=database["replica"],
            database_storage_gb=database["storageGB"],
            cache=estate["cache"]["type"],
            cache_nodes=estate["cache"]["count"],
            cdn=Cdn(estate["cdn"]),
        ),
        traffic=Traffic(
            average_qps=traffic["averageQPS"],
            peak_qps=traffic["peakQPS"],
            peak_hours_a_day=traffic["peakHours"],
            cpu_ms_per_request=traffic["cpuMicroseconds"] / 1000,
            photo_views_millions=traffic["photoViewsMillions"],
            photos_a_day=traffic["photosPerDay"],
            revenue_usd=budget.get("monthlyRevenueUSD", 0),
        ),
        budget=Budget(budget.get("monthlyUSD"), budget.get("monthlyRevenueUSD"), budget.get("maxCostPercent", 10)),
    )
