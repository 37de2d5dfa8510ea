"""CostWithinBudget: a month costs no more than spec.budget allows. Pure."""

from __future__ import annotations

from typing import Final

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.cost.report import Report
from bapsang_operator.names import Reason
from bapsang_operator.resource import Budget

_LISTED: Final = 5


def condition(budget: Budget | None, report: Report, stale: list[str]) -> Condition:
    """Return the condition. `stale`: prices older than a year."""
    old = ""
    if stale:
        old = f" Prices older than a year: {', '.join(stale[:_LISTED])}{' …' if len(stale) > _LISTED else ''}."
    bounds = []
    if budget is not None and budget.monthly_usd is not None:
        bounds.append((float(budget.monthly_usd), "spec.budget.monthlyUSD"))
    if budget is not None and budget.revenue_usd is not None:
        percent = budget.max_percent
        bounds.append((budget.revenue_usd * percent / 100, f"{percent} % of spec.budget.monthlyRevenueUSD"))
    if not bounds:
        return Condition(
            "Unknown", Reason.NO_BUDGET, f"A month costs {report.usd:,.2f} USD; spec.budget sets no limit.{old}"
        )
    limit, name = min(bounds)
    text = f"A month costs {report.usd:,.2f} USD of {limit:,.2f} USD ({name})"
    if report.usd > limit:
        dear = max(report.rows, key=lambda row: row.usd)
        return Condition(
            "False", Reason.OVER_BUDGET, f"{text}; the largest row is {dear.group}, {dear.usd:,.2f} USD.{old}"
        )
    return Condition("True", Reason.WITHIN_BUDGET, f"{text}.{old}")
