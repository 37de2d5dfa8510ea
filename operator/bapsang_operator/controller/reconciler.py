"""One pass over one Community: look, plan, apply, report. Level-triggered: it asks what is, never what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from bapsang_operator import build, names
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.conditions import events, status
from bapsang_operator.controller import observation
from bapsang_operator.controller.executor import LONGEST_PAUSE, Executor, Outcome
from bapsang_operator.controller.reporter import Reporter
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.metrics import Metrics
from bapsang_operator.names import EventReason, Reason
from bapsang_operator.planning import plan, prewarm, progress
from bapsang_operator.planning.hosts import Claim
from bapsang_operator.planning.volumes import fitted
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures, host, prerequisites, spot
from bapsang_operator.resource import Community, parse, validate
from bapsang_operator.unwatched import refusals
from bapsang_operator.unwatched.ingress_class import with_class
from bapsang_operator.unwatched.nodes import Nodes
from bapsang_operator.unwatched.rivals import Rivals
from bapsang_operator.unwatched.secrets import Keep, Kept

#: Asks for a Community to be reconciled again in some seconds.
Later = Callable[[CommunityKey, float], None]

_log = logging.getLogger(__name__)
#: Longer than any honest pass takes; the work queue tries again.
_PASS_SECONDS = 60
#: What a pass that ended badly may take to say so; together they stay below what counts as a stuck worker.
_REPORT_SECONDS = 20


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Basis:
    """All that a pass decides from. Prices, which a status may show, are those of a day."""

    revision: int
    kept: Kept
    lacking: str
    day: date
    taken: Claim | None


class Reconciler:
    """Makes Communities what their specs say."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        keep: Keep,
        metrics: Metrics,
        later: Later,
        now: Callable[[], datetime] = _now,
        *,
        has_keda: bool = False,
        sees_all: bool = True,
    ) -> None:
        self._kube = kube
        self._store = store
        self._keep = keep
        self._metrics = metrics
        self._later = later
        self._now = now
        self._has_keda = has_keda
        self._sees_all = sees_all
        self._executor = Executor(kube, store, metrics)
        self._nodes = Nodes(kube, now)
        self._rivals = Rivals(kube)
        self._reporter = Reporter(kube, store, now)
        self._uids: dict[CommunityKey, str] = {}
        self._settled: dict[CommunityKey, _Basis] = {}

    async def __call__(self, key: CommunityKey) -> bool:
        """Reconcile one Community; False when it should be tried again soon."""
        started = asyncio.get_running_loop().time()
        result = "error"
        try:
            async with asyncio.timeout(_PASS_SECONDS):
                result = await self._reconcile(key)
        except KubeError as error:
            # The Community was deleted while we worked on it; the watch will tell.
            if error.is_namespace_gone or error.missing == names.PLURAL:
                result = "gone"
            else:
                _log.warning("reconcile failed", extra={"community": "/".join(key), "error": str(error)})
                # With the worker in hand: an apiserver that asks for a pause gets one from this process.
                await asyncio.sleep(min(error.retry_after, LONGEST_PAUSE))
        except TimeoutError:
            _log.warning("reconcile timed out", extra={"community": "/".join(key), "seconds": _PASS_SECONDS})
        except Exception as error:
            # One Community that meets a bug must not end the process, and with it all others, leader after leader.
            result = "internal_error"
            _log.exception("reconcile raised", extra={"community": "/".join(key)})
            await self._report_exception(key, error)
        self._metrics.reconciles.labels(result).observe(asyncio.get_running_loop().time() - started)
        return result in {"success", "gone"}

    async def _reconcile(self, key: CommunityKey) -> str:
        """Return `success`, `waiting` or `error`; what is not a success is tried again soon."""
        if not self._store.is_listed(key.namespace):
            return "success"  # its watch names it again
        revision = self._store.revision(key)  # before anything is read, so that no change is taken for seen
        resource = self._store.community(key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            return "success"
        uid = resource["metadata"]["uid"]
        if self._uids.get(key, uid) != uid:
            self._forget(key)
        self._uids[key] = uid
        violations = validate(resource["spec"])
        if violations:
            found = [Problem(Reason.INVALID_SPEC, str(violation)) for violation in violations]
            old = resource.get("status", {})
            await self._reporter.report(
                resource, status.invalid(resource["metadata"]["generation"], found, old, self._now())
            )
            return "success"
        now = self._now()
        community = prewarm.warmed(parse(resource), now)
        change = prewarm.next_change(community, now)
        if change is not None:
            self._later(key, (change - now).total_seconds())
        return await self._converge(resource, community, key, revision)

    async def _converge(self, resource: Manifest, community: Community, key: CommunityKey, revision: int) -> str:
        kept = await self._keep.ensure(community, create=community.paused is None)
        lacking, unread = await self._look_for_keda(community)
        taken = self._store.hosts.holder(community)
        basis = _Basis(revision, kept, lacking, self._now().date(), taken)
        if self._settled.get(key) == basis:
            return "success"
        live = self._store.children(key)
        claim = progress.claim_uid(community, live)
        children = build.children(community, kept.digests, claim=claim, has_keda=not lacking)
        children, unfit = fitted(community, children, live)
        children = await with_class(self._kube, community, children, live)
        if unread is not None and _scaled_object(community) not in live:
            # Either autoscaler may be the second one beside a ScaledObject that is there and could not be read.
            children = [_waiting(child) if child.key == _scaled_object(community) else child for child in children]
        if taken is not None:
            _log.warning("host taken", extra={"community": str(community), "host": community.host, "by": taken.whose})
            children = self._store.hosts.give_way(community, children)
        if self._store.awaited:
            # The host may be served from a namespace of which nothing is known yet: what is live stays as it is.
            children = [_waiting(child) if child.key.kind == "Ingress" else child for child in children]
        self._store.remember(children)
        lost = self._store.take_lost(key)
        rollout = progress.observe(community, children, live)
        planned = plan.make(community, children, live, rollout, self._store.applied, self._store.baselines)
        outcome = await self._executor.run(community, planned, lost) if community.paused is None else Outcome()
        if lacking and community.api.autoscaling.keda is not None:
            outcome.problems.append(prerequisites.of_keda(lacking))
        if unread is not None:
            outcome.problems.append(unread)
        if taken is not None:
            outcome.problems.append(host.problem(community, taken))
        outcome.problems += [host.uncompared(child.key) for child in planned.held if child.key.kind == "Ingress"]
        planned.foreign += outcome.foreign
        planned.vanishing += [*outcome.vanishing, *kept.vanishing]
        if planned.applies or planned.scales or planned.adjusts:
            live = self._store.children(key)
            rollout = progress.observe(community, children, live)
        if self._sees_all:  # nodes belong to no namespace: an operator of some namespaces may not read them
            staying = spot.must_stay(live.values())
            outcome.problems += spot.of_nodes(community, staying, await self._nodes.labels(staying))
        found, now = [*outcome.problems, *unfit], self._now()
        podless = refusals.without_pods(rollout.job, live, now)
        refused = await refusals.look(self._kube, community, podless, now)
        if len(refused) < len(podless):
            self._later(key, refusals.LOOK_AGAIN_SECONDS)
        found += [*refused, *await self._rivals.look(community, planned)]
        seen = observation.see(community, children, live, rollout, planned, kept, found, now, sees_all=self._sees_all)
        new = status.compute(seen, resource.get("status", {}), self._now())
        failed = bool(kept.failed or unread or outcome.failed)
        if (
            new == resource.get("status", {})
            and not (failed or podless)
            and observation.is_settled(community, planned, live)
        ):
            self._settled[key] = basis
        else:
            self._settled.pop(key, None)
        restored = outcome.restored + [f"{secret} was deleted and has been put back." for secret in kept.restored]
        restored += [f"{secret} had no owner and has one again." for secret in kept.adopted]
        restored += [f"{secret}: its other keys follow the changed password." for secret in kept.renewed]
        told = [events.Event("Normal", EventReason.CHILD_REWRITTEN, text) for text in outcome.rewritten]
        told += [events.Event("Normal", EventReason.POD_REPLACED, text) for text in outcome.replaced]
        told += [
            events.Event("Normal", EventReason.CHILD_RESTORED, text) for text in self._reporter.untold(key, restored)
        ]
        await self._reporter.report(resource, new, told)
        if failed:
            return "error"
        # Objects without our label are not watched: look again soon instead of being told that they are gone.
        return "waiting" if planned.vanishing else "success"

    async def _look_for_keda(self, community: Community) -> tuple[str, Problem | None]:
        """Read the Community's ScaledObject, which is not watched: its kind may be absent, and come or go meanwhile.

        Returns what stands in the way of one, nothing when it is there; and the problem of one that cannot be read.
        """
        if not self._has_keda:
            return "the operator has no rights on KEDA's ScaledObjects; set keda.enabled in its chart", None
        try:
            return await self._read_scaled_object(community), None
        except KubeError as error:
            if error.concerns_all:
                raise
            return "", failures.of_failure(_scaled_object(community), error.message)

    async def _read_scaled_object(self, community: Community) -> str:
        key = _scaled_object(community)
        live = await self._kube.get(key)
        if live is not None:
            self._store.put(live)
            return ""
        self._store.gone(key)
        if community.api.autoscaling.keda is None or await self._kube.serves(SCALED_OBJECT):
            return ""
        return f"the apiserver does not serve {SCALED_OBJECT.plural}.{SCALED_OBJECT.group}; install KEDA"

    async def _report_exception(self, key: CommunityKey, error: Exception) -> None:
        """Say in the status that a pass raised; only the log says so when that fails, too."""
        self._settled.pop(key, None)
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                resource = self._store.community(key)
                if resource is None:
                    return
                generation, old = resource["metadata"]["generation"], resource.get("status", {})
                new = status.internal_error(generation, failures.of_exception(error), old, self._now())
                await self._reporter.report(resource, new)
        except Exception as second:
            _log.warning("error not reported", extra={"community": "/".join(key), "error": repr(second)[:200]})

    def _forget(self, key: CommunityKey) -> None:
        self._store.forget(key)
        self._settled.pop(key, None)
        self._reporter.forget(key)
        self._executor.forget(key)
        uid = self._uids.pop(key, None)
        if uid is not None:
            self._keep.forget(uid)
            self._rivals.forget(uid)


def _waiting(child: Child) -> Child:
    return replace(child, gate=Gate.UNREAD)


def _scaled_object(community: Community) -> Key:
    return Key(SCALED_OBJECT.name, community.namespace, names.api_burst(community.name))
