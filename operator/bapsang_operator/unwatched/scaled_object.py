"""The ScaledObject of a Community. It is read by name: KEDA may be absent, and come or go while the operator runs."""

from __future__ import annotations

from dataclasses import dataclass

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures, prerequisites
from bapsang_operator.resource import Community


@dataclass(frozen=True)
class ScaledObject:
    """What was read. `live` is None where there is none, and where it was not read (`is_read`). `obstacle`: why KEDA cannot
    be used; empty when it can. `failure`: the problem of one that could not be read."""

    key: Key
    live: Manifest | None = None
    is_read: bool = True
    obstacle: str = ""
    failure: Problem | None = None

    def problems(self, community: Community) -> list[Problem]:
        """Return what is wrong with it for a Community."""
        found = []
        if self.obstacle and community.api.autoscaling.keda is not None:
            found.append(prerequisites.of_keda(self.obstacle))
        return [*found, self.failure] if self.failure is not None else found


async def read(kube: Kube, community: Community, *, has_rights: bool) -> ScaledObject:
    """Read the Community's ScaledObject. `has_rights`: the operator may read the kind. Raises KubeError when no other
    request would fare better."""
    key = Key(SCALED_OBJECT.name, community.namespace, names.api_burst(community.name))
    if not has_rights:
        obstacle = "the operator has no rights on KEDA's ScaledObjects; set keda.enabled in its chart"
        return ScaledObject(key, is_read=False, obstacle=obstacle)
    is_read = False
    try:
        live = await kube.get(key)
        is_read = True
        if live is not None or community.api.autoscaling.keda is None or await kube.serves(SCALED_OBJECT):
            return ScaledObject(key, live)
    except KubeError as error:
        if error.concerns_all:
            raise
        return ScaledObject(key, is_read=is_read, failure=failures.of_failure(key, error.message))
    obstacle = f"the apiserver does not serve {SCALED_OBJECT.plural}.{SCALED_OBJECT.group}; install KEDA"
    return ScaledObject(key, obstacle=obstacle)
