"""Carries out a plan: deletes, applies and scales, and tells what came to light meanwhile."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from bapsang_operator import drift, plan, problems
from bapsang_operator.kinds import Key, key_of
from bapsang_operator.kube import Kube, KubeError
from bapsang_operator.metrics import Metrics
from bapsang_operator.plan import Apply, Cause, Ownership, Plan
from bapsang_operator.problems import Problem
from bapsang_operator.spec import Community
from bapsang_operator.store import Store

_log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What applying a plan brought to light."""

    problems: list[Problem] = field(default_factory=list)
    foreign: list[Key] = field(default_factory=list)
    vanishing: list[Key] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)


class Executor:
    """Writes to the cluster what a plan says, and keeps the store up with the answers."""

    def __init__(self, kube: Kube, store: Store, metrics: Metrics) -> None:
        self._kube = kube
        self._store = store
        self._metrics = metrics

    async def run(self, community: Community, planned: Plan, lost: set[Key]) -> Outcome:
        """Write what the plan says; `lost` children were deleted by somebody. Raises KubeError."""
        outcome = Outcome()
        # First: KEDA refuses a second autoscaler beside the one that is to go.
        for live in planned.deletes:
            await self._kube.delete(live)
            _log.info("deleted", extra={"community": str(community), "child": str(key_of(live))})
        for apply in planned.applies:
            key = key_of(apply.manifest)
            if apply.cause is Cause.MISSING and not await self._is_free(community, key, outcome):
                continue
            try:
                await self._apply(community, apply)
            except KubeError as error:
                if not error.is_refusal or error.is_namespace_terminating:
                    raise
                outcome.problems.append(problems.of_rejection(key, error.message))
                continue
            if apply.cause is Cause.DRIFTED:
                outcome.restored.append(f"{key} was edited ({', '.join(apply.fields[:3])}) and has been restored.")
            elif apply.cause is Cause.MISSING and key in lost:
                outcome.restored.append(f"{key} was deleted and has been put back.")
        for scale in planned.scales:
            self._store.put(await self._kube.scale(scale.live, scale.replicas))
            extra = {"community": str(community), "child": str(key_of(scale.live)), "replicas": scale.replicas}
            _log.info("scaled", extra=extra)
        return outcome

    async def _is_free(self, community: Community, key: Key, outcome: Outcome) -> bool:
        """Tell whether a name may be applied to. The watches see only objects with our label: before the first apply,
        look whether somebody else's object has the name, because server-side apply would simply take it over."""
        live = await self._kube.get(key)
        if live is None:
            return True
        whose = plan.ownership(community, live)
        if whose is Ownership.OURS and "deletionTimestamp" not in live["metadata"]:
            return True
        if whose is Ownership.FOREIGN:
            outcome.foreign.append(key)
        else:
            outcome.vanishing.append(key)
        return False

    async def _apply(self, community: Community, apply: Apply) -> None:
        key = key_of(apply.manifest)
        answer = await self._kube.apply(drift.stamped(apply.manifest))
        self._store.put(answer)
        self._store.applied[key] = apply.manifest
        extra = {"community": str(community), "child": str(key), "cause": apply.cause.value}
        _log.info("applied", extra=extra | ({"fields": list(apply.fields)} if apply.fields else {}))
        unsettled = drift.differing_fields(apply.manifest, answer)
        if unsettled:
            # Would be applied again at every look: a builder writes something that the apiserver rewrites.
            self._metrics.unsettled.labels(key.kind).inc()
            _log.error("applied object came back different", extra=extra | {"fields": unsettled})
