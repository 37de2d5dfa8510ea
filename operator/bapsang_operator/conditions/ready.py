"""Ready: users are served. Stores are up, and at most one base pod is missing (what the budget allows). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bapsang_operator import names
from bapsang_operator.build import ingress
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.planning.progress import Progress
from bapsang_operator.planning.route import Parent
from bapsang_operator.resource import Community


def condition(
    community: Community,
    progress: Progress,
    parents: Sequence[Parent] | None = None,
    *,
    has_served: bool,
    is_host_taken: bool,
    is_route_missing: bool = False,
) -> Condition:
    """Return the condition. `parents`: what Gateways make of the HTTPRoute, None where none is wanted or, with
    `is_route_missing`, can be made. `has_served`: some image was rolled out before; of a taken host, nobody is served."""
    found = _of_pods(community, progress, has_served=has_served)
    if found is None and (is_route_missing or parents is not None):
        found = _of_route(community, progress.addressed, parents or (), is_missing=is_route_missing)
    elif found is None:
        found = _of_address(community, progress.addressed)
    if is_host_taken and found.status == "True":
        return Condition("False", Reason.HOST_TAKEN, "spec.host does not lead here: see Degraded.")
    return found


def _of_pods(community: Community, progress: Progress, *, has_served: bool) -> Condition | None:
    """Tell why nobody is served; None when pods can serve."""
    base = progress.base
    for what, ready in (("The embedded MySQL", progress.database_ready), ("The managed Redis", progress.redis_ready)):
        if ready is False:
            reason = Reason.NOT_AVAILABLE if has_served else Reason.STARTING
            return Condition("False", reason, f"{what} is not available yet.")
    is_asleep = community.hibernate
    if is_asleep and not (base.available or progress.burst.available):
        return Condition("False", Reason.HIBERNATED, "spec.hibernate is set: nobody is served until it is removed.")
    if is_asleep or (base.exists and base.available >= max(1, base.wanted - 1)):
        return None
    if not has_served:
        return Condition("False", Reason.STARTING, "The first pods are being started.")
    name = names.api_base(community.name)
    return Condition(
        "False", Reason.NO_PODS_AVAILABLE, f"Deployment {name}: fewer pods are available than are needed to serve."
    )


def _of_route(
    community: Community, addressed: bool | None, parents: Sequence[Parent], *, is_missing: bool
) -> Condition:
    """Tell whether users reach the pods that are available by an HTTPRoute, or by an Ingress that is still there."""
    name = names.api(community.name)
    silent = [parent.gateway for parent in parents if not (parent.is_accepted or parent.refusal)]
    untaken = (
        f"no controller has taken HTTPRoute {name} for Gateway {', '.join(silent)}: it does not exist, or nobody serves "
        f"it. Read kubectl -n {community.namespace} describe httproute {name}."
    )
    if any(parent.is_accepted for parent in parents):
        found = _of_address(community, None)
        return replace(found, message=f"{found.message} But {untaken}") if silent else found
    reason, text = (
        Reason.ROUTE_NOT_ACCEPTED,
        untaken if silent else f"no Gateway serves HTTPRoute {name}: see Degraded.",
    )
    if is_missing:
        reason, text = Reason.GATEWAY_API_MISSING, "there is no HTTPRoute: see Degraded."
    if addressed is not None:
        found = _of_address(community, addressed)
        return replace(found, message=f"{found.message} So far by the Ingress alone: {text}")
    return Condition("False", reason, f"The pods serve, but {text}")


def _of_address(community: Community, addressed: bool | None) -> Condition:
    """Tell whether users reach the pods that are available. `addressed`: whether the Ingress has an address; None without
    an Ingress."""
    text = f"Users are served at {community.url}."
    if addressed is not False:
        return Condition("True", Reason.SERVING, text)
    name = names.api(community.name)
    if ingress.needs_address(community):
        return Condition(
            "False",
            Reason.NO_ADDRESS,
            f"The pods serve, but Ingress {name} has no address: there is no load balancer yet. "
            f"Read kubectl -n {community.namespace} describe ingress {name}.",
        )
    unknown = f"Ingress {name} has no address: its controller writes none, or has not taken the Ingress."
    return Condition("True", Reason.SERVING, f"{text} {unknown}")
