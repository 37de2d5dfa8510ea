"""The PodDisruptionBudget of the API: a drain takes one pod at a time, over both tiers together."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta
from bapsang_operator.child import Child
from bapsang_operator.names import Component
from bapsang_operator.spec import Community


def budget(community: Community) -> Child:
    """Return the budget. `maxUnavailable` rather than `minAvailable`: it can never block a drain for ever."""
    return Child(
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": meta.metadata(community, names.api(community.name), Component.API),
            "spec": {
                "maxUnavailable": 1,
                # Pods that are not ready serve nobody: they must not hold up a drain.
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": meta.selector(community, Component.API)},
            },
        }
    )
