"""SpotFloorHeld: the nodes on demand carry enough of the peak when every spot node is gone. Pure."""

from __future__ import annotations

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.cost import capacity
from bapsang_operator.cost.design import Design, Traffic
from bapsang_operator.names import Reason


def condition(design: Design, traffic: Traffic) -> Condition:
    """Return the condition. Raises UnknownInstanceError for a type of node of which nothing is known."""
    share = capacity.floor_share(design, traffic)
    text = f"Without any spot node {share:.0%} of the peak is carried; {capacity.FLOOR_SHARE:.0%} is the least"
    if share < capacity.FLOOR_SHARE:
        return Condition("False", Reason.FLOOR_TOO_LOW, f"{text}: add base nodes (spec.estate.baseNodes.count).")
    return Condition("True", Reason.FLOOR_HELD, f"{text}.")
