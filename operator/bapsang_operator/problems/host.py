"""The host of a Community that is somebody else's, or may be. Pure; whose it is: `planning/hosts.py`."""

from __future__ import annotations

from bapsang_operator.kinds import HTTP_ROUTE
from bapsang_operator.manifest import Key
from bapsang_operator.names import Reason
from bapsang_operator.planning.hosts import Claim
from bapsang_operator.problem import Problem
from bapsang_operator.problems.failures import of_failure
from bapsang_operator.resource import Community


def problem(community: Community, holder: Claim) -> Problem:
    """Return the problem of a host that is somebody else's. Who can read this Community may know nothing of another
    namespace, so what is there is named in the operator's log alone."""
    key = holder.key
    whose = f'{key.kind} "{key.name}"'
    if key.namespace != community.namespace:
        whose = f"another namespace ({key.kind}; the operator's log names it)"
    wanted = "Ingress" if community.gateway is None else HTTP_ROUTE.name
    return Problem(
        Reason.HOST_TAKEN,
        f'spec.host "{community.host}" is taken by {whose}. This one gets no {wanted} for it before that one is gone or '
        "has another host. Set another host here or there.",
    )


def uncompared(key: Key) -> Problem:
    """Return the problem of an Ingress or HTTPRoute that waits until the hosts of all watched namespaces are known."""
    text = "not every watched namespace could be listed yet, so its host was not compared with theirs"
    return of_failure(key, text)
