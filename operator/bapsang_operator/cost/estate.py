"""From `spec.estate` and `spec.budget`, which hold whole numbers, to the design and traffic of the model."""

from __future__ import annotations

from bapsang_operator.cost.design import Cdn, Design, Egress, Traffic
from bapsang_operator.resource import Budget, Estate, Originals


def design(estate: Estate, originals: Originals) -> Design:
    """Return what carries the Community, and for how long it keeps what people upload."""
    return Design(
        zones=estate.zones,
        base_type=estate.base_nodes.type,
        base_nodes=estate.base_nodes.count,
        commitment=estate.base_nodes.commitment_percent / 100,
        burst_type=estate.burst_nodes.type,
        burst_nodes=estate.burst_nodes.count,
        egress=Egress(estate.egress),
        database=estate.database.type,
        database_multi_az=estate.database.multi_az,
        database_replica=estate.database.replica,
        database_storage_gb=estate.database.storage_gb,
        cache=estate.cache.type,
        cache_nodes=estate.cache.count,
        cdn=Cdn(estate.cdn),
        originals_days=originals.days,
    )


def traffic(estate: Estate, budget: Budget | None) -> Traffic:
    """Return what comes to the Community, and what it earns."""
    found = estate.traffic
    return Traffic(
        average_qps=found.average_qps,
        peak_qps=found.peak_qps,
        peak_hours_a_day=found.peak_hours,
        cpu_ms_per_request=found.cpu_microseconds / 1000,
        photo_views_millions=found.photo_views_millions,
        photos_a_day=found.photos_per_day,
        revenue_usd=(budget.revenue_usd or 0) if budget is not None else 0,
    )
