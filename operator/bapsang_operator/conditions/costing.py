"""`status.cost` of a Community and the three conditions that come of it. Pure; the price book is part of the operator."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from datetime import date

from bapsang_operator.conditions import cost_within_budget, no_single_point_of_failure, spot_floor_held
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.cost import estate as model
from bapsang_operator.cost import nodes, prices
from bapsang_operator.cost.design import Design, UnknownInstanceError
from bapsang_operator.cost.prices import PriceBook, PriceError
from bapsang_operator.cost.report import Report, report
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.resource import Community, Estate


@dataclass(frozen=True)
class Costing:
    """`block` is status.cost, None where something has no price."""

    block: Manifest | None
    conditions: dict[ConditionType, Condition]


@functools.cache
def _book() -> PriceBook:
    return prices.load()


def assess(community: Community, estate: Estate, today: date, book: PriceBook | None = None) -> Costing:
    """Return what the estate costs and how it stands. `today` only tells whether prices are older than a year."""
    book = _book() if book is None else book
    design, traffic = _design(community, estate), model.traffic(estate, community.budget)
    try:
        made = report(design, traffic, book, _most_nodes(community, design))
        conditions = {
            ConditionType.NO_SINGLE_POINT_OF_FAILURE: no_single_point_of_failure.condition(community, design, traffic),
            ConditionType.SPOT_FLOOR_HELD: spot_floor_held.condition(design, traffic),
        }
    except (PriceError, UnknownInstanceError) as error:
        unknown = Condition("Unknown", Reason.PRICE_UNKNOWN, f"spec.estate cannot be judged: {error}.")
        return Costing(None, dict.fromkeys(_KINDS, unknown))
    within = cost_within_budget.condition(community.budget, made, book.stale(today))
    return Costing(_block(made, book), {ConditionType.COST_WITHIN_BUDGET: within, **conditions})


_KINDS = (
    ConditionType.COST_WITHIN_BUDGET,
    ConditionType.NO_SINGLE_POINT_OF_FAILURE,
    ConditionType.SPOT_FLOOR_HELD,
)


def _design(community: Community, estate: Estate) -> Design:
    """Return the design as the Community uses it: a managed Redis is no ElastiCache."""
    design = model.design(estate, community.originals)
    return replace(design, cache_nodes=0) if community.redis.managed else design


def _most_nodes(community: Community, design: Design) -> int:
    """Return the burst nodes that burst.maxReplicas pods fill, by their requests, and media.maxReplicas photo workers
    beside them, as far as these leave room."""
    room, burst = nodes.burst_room(design.burst_type), nodes.requested(community.api.burst.resources.requests)
    each = max(1, room.holds(burst))
    filled = math.ceil(community.api.burst.max_replicas / each)
    if community.storage is None:
        return filled
    worker = nodes.requested(community.media.resources.requests)
    left = community.media.max_replicas - filled * room.less(burst, each).holds(worker)
    return filled + math.ceil(max(0, left) / max(1, room.holds(worker)))


def _usd(amount: float) -> str:
    return f"{amount:.2f}"


def _block(made: Report, book: PriceBook) -> Manifest:
    """Amounts are text with two decimals: numbers with a point do not survive every client unchanged."""
    block: Manifest = {
        "monthlyUSD": _usd(made.usd),
        "spotRangeUSD": f"{_usd(made.spot_low)}-{_usd(made.spot_high)}",
        "perMillionRequestsUSD": _usd(made.per_million),
        "computeSaving": {
            "likeForLikePercent": round(100 * made.like_for_like),
            "staticPeakPercent": round(100 * made.static_peak),
        },
        "forecastAtMaxReplicasUSD": _usd(made.forecast),
        "priceBook": book.region,
        "asOf": book.as_of.isoformat(),
        "rows": [
            {
                "group": row.group,
                "price": row.price,
                "quantity": f"{row.quantity:.2f}",
                "unitUSD": f"{row.unit_usd:.7g}",
                "usd": _usd(row.usd),
                "formula": row.formula,
            }
            for row in made.rows
        ],
    }
    if made.revenue_share is not None:
        block["revenueSharePercent"] = f"{100 * made.revenue_share:.1f}"
    return block
