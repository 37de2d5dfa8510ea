"""Another autoscaler on the base tier, whose count the spec decides. It is not watched, since it does not have our label: the
operator lists autoscalers once a count was changed, and in every pass for as long as one conflicts."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.kinds import BY_NAME
from bapsang_operator.manifest import Key
from bapsang_operator.names import Reason
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community

_HPA: Final = BY_NAME["HorizontalPodAutoscaler"]


class AutoscalerConflicts:
    """Remembers the Communities whose base tier somebody else scales."""

    def __init__(self, kube: Kube) -> None:
        self._kube = kube
        self._scaled: set[str] = set()

    async def read(self, community: Community, planned: Plan) -> list[Problem]:
        """Return a problem for each autoscaler on the base tier. Raises KubeError when no other request would fare
        better."""
        base = Key("Deployment", community.namespace, names.api_base(community.name))
        if community.uid not in self._scaled and not _is_count_edited(planned, base):
            return []
        try:
            found = [
                one["metadata"]["name"]
                for one in await self._kube.unlabelled(_HPA, community.namespace)
                if (target := one["spec"]["scaleTargetRef"])["kind"] == base.kind and target["name"] == base.name
            ]
        except KubeError as error:
            if error.concerns_all:
                raise
            return []
        (self._scaled.add if found else self._scaled.discard)(community.uid)
        return [
            Problem(
                Reason.AUTOSCALER_CONFLICT,
                f'HorizontalPodAutoscaler "{name}" scales {base}, whose count spec.api.base.replicas decides: whatever it '
                "sets is put back, and pods come and go. Delete it; the burst tier has an autoscaler of its own.",
            )
            for name in sorted(found)
        ]

    def forget(self, uid: str) -> None:
        """Forget a Community that is gone."""
        self._scaled.discard(uid)


def _is_count_edited(planned: Plan, base: Key) -> bool:
    return any(
        apply.manifest["kind"] == base.kind
        and apply.manifest["metadata"]["name"] == base.name
        and "spec.replicas" in apply.fields
        for apply in planned.applies
    )
