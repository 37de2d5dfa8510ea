"""The Gateway API that is missing, and Gateways that do not serve the HTTPRoute. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bapsang_operator import names
from bapsang_operator.names import Reason
from bapsang_operator.planning.route import Parent
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community


def missing(community: Community, lacking: str) -> list[Problem]:
    """Return the problem of a Community that asks for HTTPRoutes. `lacking`: why they cannot be made; empty when they
    can."""
    if not lacking or community.gateway is None or community.host is None:
        return []
    text = f"spec.gateway: {lacking}. Until then there is no HTTPRoute; an Ingress that was there before stays."
    return [Problem(Reason.GATEWAY_API_MISSING, text)]


def refusals(community: Community, found: Iterable[Parent] | None) -> list[Problem]:
    """Return a problem for each Gateway that does not serve the route and says why."""
    return [
        Problem(
            Reason.ROUTE_NOT_ACCEPTED,
            f'HTTPRoute "{names.api(community.name)}" is not served by Gateway {parent.gateway}: {parent.refusal}. '
            "Correct spec.gateway.parentRefs or the Gateway.",
        )
        for parent in found or ()
        if parent.refusal
    ]
