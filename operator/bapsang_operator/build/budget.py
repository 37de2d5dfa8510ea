"""The PodDisruptionBudgets: one for each tier of the API, so that neither uses up the other's, and one for each store.

`maxUnavailable` rather than `minAvailable`: no budget blocks a drain for ever.
"""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.build.child import Child
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: Burst pods on spot nodes: a node that is reclaimed ends in two minutes whatever a budget says, and a pod that is held
#: back ends with it, in the middle of its requests. Also while replacements wait for nodes, which a smaller share would
#: count as away: a tier that doubles would let nobody go.
SPOT_UNAVAILABLE: Final = "100%"
#: Burst pods where spot is switched off: nothing forces them away, so a drain waits for replacements, as a rollout does.
ON_DEMAND_UNAVAILABLE: Final = "25%"


def budgets(community: Community) -> list[Child]:
    """Return the budgets of both tiers and of the stores that the operator runs."""
    burst = SPOT_UNAVAILABLE if community.api.spot.enabled else ON_DEMAND_UNAVAILABLE
    stores = [
        *([(names.redis(community.name), Component.REDIS)] if community.redis.managed else []),
        *([(names.mysql(community.name), Component.MYSQL)] if community.database.embedded else []),
    ]
    return [
        # The name that the budget of both tiers had: two budgets over one pod would refuse every eviction of it.
        _budget(community, names.api(community.name), Component.API, 1, tier="base"),
        _budget(community, names.api_burst(community.name), Component.API, burst, tier="burst"),
        # One pod: a drain moves it, and autoscalers leave it alone by its annotations.
        *(_budget(community, name, component, 1) for name, component in stores),
    ]


def _budget(community: Community, name: str, component: Component, unavailable: int | str, tier: str = "") -> Child:
    labels = meta.selector(community, component) | ({names.LABEL_TIER: tier} if tier else {})
    spec: Manifest = {
        "maxUnavailable": unavailable,
        # Pods that are not ready serve nobody: they must not hold up a drain.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": labels},
    }
    return Child(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta.metadata(community, name, component),
            "spec": spec,
        }
    )
