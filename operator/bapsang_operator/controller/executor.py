"""Carries out a plan: deletes, applies and scales; returns what failed, was restored or was rewritten by a webhook."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Key, Manifest, digest, key_of
from bapsang_operator.metrics import Metrics
from bapsang_operator.planning import drift, fields, plan
from bapsang_operator.planning.fields import Deviation
from bapsang_operator.planning.plan import Adjust, Apply, Cause, Ownership, Plan, Scale
from bapsang_operator.planning.progress import has_succeeded
from bapsang_operator.planning.sidecars import Finished
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures
from bapsang_operator.resource import Community

_log = logging.getLogger(__name__)
#: Longest pause that an apiserver is given, in seconds, however long it asks to be left alone.
LONGEST_PAUSE: Final = 30
#: Seconds that children may fail one after another, slowly, before the rest waits for the next pass. Below what a pass
#: may take, so that the status is written in any case.
_PATIENCE_SECONDS: Final = 20.0


@dataclass
class Outcome:
    """What carrying out a plan brought to light. `failed` children are tried again soon."""

    failed: set[Key] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    foreign: list[Key] = field(default_factory=list)
    terminating: list[Key] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)


class Executor:
    """Writes to the cluster what a plan says, and keeps the store up with the answers."""

    def __init__(self, kube: Kube, store: Store, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._store = store
        self._metrics = metrics
        self._clock = clock
        self._failing: dict[CommunityKey, set[Key]] = {}

    def forget(self, community: CommunityKey) -> None:
        """Forget a Community that is gone."""
        self._failing.pop(community, None)

    async def run(self, community: Community, planned: Plan, lost: set[Key]) -> Outcome:
        """Write what the plan says; `lost` children were deleted by somebody. A child that fails does not keep the
        others from their turn. Raises KubeError when no other request would fare better."""
        outcome = Outcome()
        failing = self._failing.pop(_key(community), set())
        began = self._clock()
        # What failed last comes last: when the pass is cut short, everything else has had its turn.
        for key, step in sorted(self._steps(community, planned, lost, outcome), key=lambda step: step[0] in failing):
            try:
                await step()
            except KubeError as error:
                if error.ends_the_pass:
                    raise
                if error.is_refusal:
                    outcome.problems.append(failures.of_rejection(key, error.message))
                    continue
                outcome.failed.add(key)
                outcome.problems.append(failures.of_failure(key, error.message))
                extra = {"community": str(community), "child": str(key), "error": str(error)}
                _log.warning("child failed", extra=extra)
                if error.retry_after:
                    # With the worker in hand: an apiserver that asks for a pause gets one from this process.
                    await asyncio.sleep(min(error.retry_after, LONGEST_PAUSE))
                    break
                if self._clock() - began > _PATIENCE_SECONDS:
                    break
        if outcome.failed:
            self._failing[_key(community)] = outcome.failed
        return outcome

    def _steps(
        self, community: Community, planned: Plan, lost: set[Key], outcome: Outcome
    ) -> Iterator[tuple[Key, Callable[[], Awaitable[None]]]]:
        """Yield every write by the child that it concerns."""
        # First: KEDA refuses a second autoscaler beside the one that is to go.
        for live in planned.deletes:
            yield key_of(live), partial(self._delete, community, live)
        for apply in planned.applies:
            yield key_of(apply.manifest), partial(self._carry_out, community, apply, lost, outcome)
        for scale in planned.scales:
            yield key_of(scale.live), partial(self._scale, community, scale)
        for adjust in planned.adjusts:
            yield key_of(adjust.live), partial(self._adjust, community, adjust)
        for live in planned.adopts:
            yield key_of(live), partial(self._adopt, community, live, outcome)
        for pod in planned.replaces:
            yield key_of(pod), partial(self._replace, community, pod, outcome)
        for run in planned.finished:
            yield key_of(run.pod), partial(self._end, community, run)

    async def _delete(self, community: Community, live: Manifest) -> None:
        await self._kube.delete(live)
        _log.info("deleted", extra={"community": str(community), "child": str(key_of(live))})

    async def _adopt(self, community: Community, live: Manifest, outcome: Outcome) -> None:
        patch = plan.reowned(community, live)
        if patch is None:
            return
        key, references = key_of(live), patch["metadata"]["ownerReferences"]
        await self._unless_gone(self._kube.merge(live, patch))
        if len(references) < len(live["metadata"].get("ownerReferences", ())):
            _log.info("released", extra={"community": str(community), "child": str(key)})
            return
        _log.info("adopted", extra={"community": str(community), "child": str(key)})
        outcome.restored.append(f"{key} had no owner and has one again.")

    async def _replace(self, community: Community, pod: Manifest, outcome: Outcome) -> None:
        await self._delete(community, pod)
        outcome.replaced.append(
            f"{key_of(pod)} was deleted: it is of an older revision and was not ready, and its StatefulSet would have "
            "waited for it for ever."
        )

    async def _end(self, community: Community, run: Finished) -> None:
        """End the pod of a run that has succeeded. Noted before, because its Job fails where a sidecar does not exit with 0
        when it is told to end."""
        if not has_succeeded(run.job):
            marked = {"metadata": {"annotations": {names.ANNOTATION_SUCCEEDED: "true"}}}
            await self._unless_gone(self._kube.merge(run.job, marked))
        await self._kube.delete(run.pod)
        _log.info("run ended", extra={"community": str(community), "child": str(key_of(run.job))})

    async def _scale(self, community: Community, scale: Scale) -> None:
        await self._unless_gone(self._kube.scale(scale.live, scale.replicas))
        extra = {"community": str(community), "child": str(key_of(scale.live)), "replicas": scale.replicas}
        _log.info("scaled", extra=extra)

    async def _adjust(self, community: Community, adjust: Adjust) -> None:
        await self._unless_gone(self._kube.merge(adjust.live, {"spec": adjust.fields}))
        extra = {"community": str(community), "child": str(key_of(adjust.live)), "fields": adjust.fields}
        _log.info("adjusted", extra=extra)

    async def _unless_gone(self, write: Awaitable[Manifest]) -> None:
        try:
            self._store.put(await write)
        except KubeError as error:
            # The object was deleted meanwhile; its watch tells of that, and it is made again.
            if not error.missing:
                raise

    async def _carry_out(self, community: Community, apply: Apply, lost: set[Key], outcome: Outcome) -> None:
        key = key_of(apply.manifest)
        if apply.cause is Cause.MISSING and not await self._is_free(community, key, outcome):
            return
        left = await self._apply(community, apply, outcome)
        restored = [path for path in apply.fields if path not in left]
        if apply.cause is Cause.DRIFTED and restored:
            outcome.restored.append(f"{key} was edited ({', '.join(restored[:3])}) and has been restored.")
        elif apply.cause is Cause.MISSING and key in lost:
            outcome.restored.append(f"{key} was deleted and has been put back.")

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
            outcome.terminating.append(key)
        return False

    async def _apply(self, community: Community, apply: Apply, outcome: Outcome) -> drift.Baseline:
        """Apply one child, take off what others have added, and return the object's baseline: what is left then is a
        webhook's, and would be at every look."""
        manifest, key = apply.manifest, key_of(apply.manifest)
        if apply.cause is Cause.DRIFTED and key not in self._store.baselines and await self._is_known(manifest):
            return self._store.baselines[key]
        before = self._store.baselines.get(key, {})
        try:
            answer = await self._kube.apply(drift.stamped(manifest))
        except KubeError as error:
            if not error.is_refusal or not await self._is_cleared(manifest):
                raise
            answer = await self._kube.apply(drift.stamped(manifest))
        self._store.applied[key] = manifest
        self._store.put(answer)
        extra = {"community": str(community), "child": str(key), "cause": apply.cause.value}
        _log.info("applied", extra=extra | ({"fields": list(apply.fields)} if apply.fields else {}))
        added = [one for one in drift.deviations(manifest, answer) if _is_by_hand(one, answer, apply, before)]
        if added:
            answer = await self._kube.merge(answer, drift.removal(answer, added))
            self._store.put(answer)
            _log.info("additions removed", extra=extra | {"fields": [one.text for one in added]})
        baseline = drift.as_baseline(drift.deviations(manifest, answer))
        self._store.baselines[key] = baseline
        rewritten = [text for text, value in baseline.items() if before.get(text) != value]
        if rewritten:
            self._metrics.unsettled.labels(key.kind).inc()
            _log.warning("applied object was rewritten", extra=extra | {"fields": rewritten})
            paths = ", ".join(rewritten[:3])
            outcome.rewritten.append(f"{key}: a webhook changed {paths} in what was applied; it is left like that.")
        return baseline

    async def _is_cleared(self, manifest: Manifest) -> bool:
        """Take additions off and put fields back in one request, where an apply is refused because of what others have
        added: a Service that is no load balancer any more may have no source ranges. False when nothing was added."""
        live = await self._kube.get(key_of(manifest))
        added = [] if live is None else [one for one in drift.deviations(manifest, live) if one.added]
        if live is None or not added:
            return False
        self._store.put(await self._kube.merge(live, drift.removal(live, added, manifest)))
        return True

    async def _is_known(self, manifest: Manifest) -> bool:
        """Learn by dry runs what of a child is a webhook's, which nobody remembers after a restart, and tell whether
        that is all that differs."""
        key = key_of(manifest)
        live = await self._kube.get(key)
        if live is None:
            return False
        try:
            applied = await self._kube.apply(drift.stamped(manifest), dry_run=True)
        except KubeError as error:
            if not error.is_refusal:
                raise
            return False
        baseline = drift.learned(manifest, live, applied, await self._cleaned(manifest, live))
        self._store.put(live)
        self._store.baselines[key] = baseline
        return not drift.differing_fields(manifest, live, baseline)

    async def _cleaned(self, manifest: Manifest, live: Manifest) -> Manifest | None:
        """Return what a child would be without what was added to it; None when the apiserver would refuse that."""
        added = [one for one in drift.deviations(manifest, live) if one.added]
        if not added:
            return None
        try:
            return await self._kube.merge(live, drift.removal(live, added), dry_run=True)
        except KubeError as error:
            if not error.is_refusal:
                raise
            return None


def _is_by_hand(one: Deviation, answer: Manifest, apply: Apply, before: drift.Baseline) -> bool:
    """Tell whether something in the answer to our apply was added by somebody, not by a webhook on the way."""
    if not one.added or before.get(one.text) == digest(one.live):
        return False
    return fields.is_foreign(answer, one.path) or one.text in apply.fields


def _key(community: Community) -> CommunityKey:
    return CommunityKey(community.namespace, community.name)
