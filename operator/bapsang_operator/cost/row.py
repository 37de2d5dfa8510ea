"""A row of the bill, and what makes rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bapsang_operator.cost.design import Design, Traffic
from bapsang_operator.cost.prices import PriceBook


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


def shown(number: float) -> str:
    """Return a number as formulas have it."""
    return f"{number:,.6g}"
