"""`status.cost` of a Community and the three conditions that come of it. Pure; the price book is part of the operator."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from datetime import date

from bapsang_operator.conditions.judgement import Judgement
from bapsang_operator.cost import capacity, nodes, prices
from bapsang_operator.cost import estate as model
from bapsang_operator.cost.design import Design, Traffic, UnknownInstanceError
from bapsang_operator.cost.prices import PriceBook, PriceError
from bapsang_operator.cost.report import Report, report
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.resource import Budget, Community, Estate

_SHOWN = 5


@dataclass(frozen=True)
class Costing:
    """`block` is status.cost, None where something has no price."""

    block: Manifest | None
    judgements: dict[ConditionType, Judgement]


@functools.cache
def _book() -> PriceBook:
    return prices.load()


def assess(community: Community, estate: Estate, today: date, book: PriceBook | None = None) -> Costing:
    """Return what the estate costs and how it stands. `today` only tells whether prices are older than a year."""
    book = _book() if book is None else book
    design, traffic = _design(community, estate), model.traffic(estate, community.budget)
    try:
        made = report(design, traffic, book, _most_nodes(community, design))
        judgements = {
            ConditionType.NO_SINGLE_POINT_OF_FAILURE: _single_points(community, design, traffic),
            ConditionType.SPOT_FLOOR_HELD: _floor(design, traffic),
        }
    except (PriceError, UnknownInstanceError) as error:
        unknown = Judgement("Unknown", Reason.PRICE_UNKNOWN, f"spec.estate cannot be judged: {error}.")
        return Costing(None, dict.fromkeys(_KINDS, unknown))
    within = _within(community.budget, made, book.stale(today))
    return Costing(_block(made, book), {ConditionType.COST_WITHIN_BUDGET: within, **judgements})


_KINDS = (
    ConditionType.COST_WITHIN_BUDGET,
    ConditionType.NO_SINGLE_POINT_OF_FAILURE,
    ConditionType.SPOT_FLOOR_HELD,
)


def _design(community: Community, estate: Estate) -> Design:
    """Return the design as the Community uses it: a managed Redis is no ElastiCache."""
    design = model.design(estate)
    return replace(design, cache_nodes=0) if community.redis.managed else design


def _most_nodes(community: Community, design: Design) -> int:
    """Return the burst nodes that burst.maxReplicas pods fill, by their requests."""
    each = nodes.burst_room(design.burst_type).holds(nodes.requested(community.api.burst.resources.requests))
    return math.ceil(community.api.burst.max_replicas / max(1, each))


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


def _within(budget: Budget | None, made: Report, stale: list[str]) -> Judgement:
    old = (
        f" Prices older than a year: {', '.join(stale[:_SHOWN])}{' …' if len(stale) > _SHOWN else ''}." if stale else ""
    )
    bounds = []
    if budget is not None and budget.monthly_usd is not None:
        bounds.append((float(budget.monthly_usd), "spec.budget.monthlyUSD"))
    if budget is not None and budget.revenue_usd is not None:
        percent = budget.max_percent
        bounds.append((budget.revenue_usd * percent / 100, f"{percent} % of spec.budget.monthlyRevenueUSD"))
    if not bounds:
        return Judgement(
            "Unknown", Reason.NO_BUDGET, f"A month costs {made.usd:,.2f} USD; spec.budget sets no limit.{old}"
        )
    limit, name = min(bounds)
    text = f"A month costs {made.usd:,.2f} USD of {limit:,.2f} USD ({name})"
    if made.usd > limit:
        dear = max(made.rows, key=lambda row: row.usd)
        return Judgement(
            "False", Reason.OVER_BUDGET, f"{text}; the largest row is {dear.group}, {dear.usd:,.2f} USD.{old}"
        )
    return Judgement("True", Reason.WITHIN_BUDGET, f"{text}.{old}")


def _single_points(community: Community, design: Design, traffic: Traffic) -> Judgement:
    found = capacity.single_points(design)
    if community.api.base.replicas < 2:
        found.append("one base pod (spec.api.base.replicas)")
    if community.database.embedded:
        found.append("the embedded MySQL (spec.database.mode)")
    if found:
        return Judgement(
            "False", Reason.SINGLE_POINT, f"Losing one of these takes the community down: {'; '.join(found)}."
        )
    pod = nodes.requested(community.api.base.resources.requests)
    short = [*capacity.shortfalls(design, traffic), *capacity.without_room(design, community.api.base.replicas, pod)]
    if short:
        return Judgement("False", Reason.TOO_SMALL, f"The estate is too small: {'; '.join(short)}.")
    return Judgement("True", Reason.NOTHING_SINGLE, "Any one node or zone can be lost at the peak.")


def _floor(design: Design, traffic: Traffic) -> Judgement:
    share = capacity.floor_share(design, traffic)
    text = f"Without any spot node {share:.0%} of the peak is carried; {capacity.FLOOR_SHARE:.0%} is the least"
    if share < capacity.FLOOR_SHARE:
        return Judgement("False", Reason.FLOOR_TOO_LOW, f"{text}: add base nodes (spec.estate.baseNodes.count).")
    return Judgement("True", Reason.FLOOR_HELD, f"{text}.")
