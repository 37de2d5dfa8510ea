"""NoSinglePointOfFailure: any one node or zone of the estate can be lost at the peak. Pure."""

from __future__ import annotations

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.cost import capacity, nodes
from bapsang_operator.cost.design import Design, Traffic
from bapsang_operator.names import Reason
from bapsang_operator.resource import Community


def condition(community: Community, design: Design, traffic: Traffic) -> Condition:
    """Return the condition. Raises UnknownInstanceError for a type of node of which nothing is known."""
    found = capacity.single_points(design)
    if community.api.base.replicas < 2:
        found.append("one base pod (spec.api.base.replicas)")
    if community.database.embedded:
        found.append("the embedded MySQL (spec.database.mode)")
    if found:
        return Condition(
            "False", Reason.SINGLE_POINT, f"Losing one of these takes the community down: {'; '.join(found)}."
        )
    pod = nodes.requested(community.api.base.resources.requests)
    short = [*capacity.shortfalls(design, traffic), *capacity.without_room(design, community.api.base.replicas, pod)]
    if short:
        return Condition("False", Reason.TOO_SMALL, f"The estate is too small: {'; '.join(short)}.")
    return Condition("True", Reason.NOTHING_SINGLE, "Any one node or zone can be lost at the peak.")
