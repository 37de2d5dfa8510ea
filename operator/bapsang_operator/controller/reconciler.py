"""One pass over one Community: read, decide, write, report (`Reconciler._converge` has the path). Level-triggered: it asks
what is, never what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from bapsang_operator import build, names
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.conditions import status
from bapsang_operator.conditions.events import Event
from bapsang_operator.controller import observation
from bapsang_operator.controller.executor import LONGEST_PAUSE, Executor, Outcome
from bapsang_operator.controller.reporter import Reporter
from bapsang_operator.controller.state import Basis, Inputs, Written
from bapsang_operator.informer.routes import NO_RIGHTS, Outlook
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import WAYS_IN
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.metrics import Metrics
from bapsang_operator.names import EventReason, Reason
from bapsang_operator.planning import plan, prewarm, progress, route
from bapsang_operator.planning.progress import Live
from bapsang_operator.planning.volumes import fitted
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures, gateway, host, spot
from bapsang_operator.resource import Community, parse, validate
from bapsang_operator.unwatched import refused_pods, scaled_object
from bapsang_operator.unwatched.autoscaler_conflicts import AutoscalerConflicts
from bapsang_operator.unwatched.ingress_class import with_class
from bapsang_operator.unwatched.nodes import Nodes
from bapsang_operator.unwatched.secrets import Secrets

#: Asks for a Community to be reconciled again in some seconds.
Later = Callable[[CommunityKey, float], None]

_log = logging.getLogger(__name__)
#: Longer than any honest pass takes; the work queue tries again.
_PASS_SECONDS = 60
#: What a pass that ended badly may take to say so; together they stay below what counts as a stuck worker.
_REPORT_SECONDS = 20


def _now() -> datetime:
    return datetime.now(UTC)


class Reconciler:
    """Makes Communities what their specs say."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        secrets: Secrets,
        metrics: Metrics,
        later: Later,
        now: Callable[[], datetime] = _now,
        *,
        has_keda: bool = False,
        outlook: Callable[[str], Outlook] = lambda _namespace: NO_RIGHTS,
        sees_all: bool = True,
    ) -> None:
        self._kube = kube
        self._store = store
        self._secrets = secrets
        self._metrics = metrics
        self._later = later
        self._now = now
        self._has_keda = has_keda
        self._outlook = outlook
        self._sees_all = sees_all
        self._executor = Executor(kube, store, metrics)
        self._nodes = Nodes(kube, now)
        self._autoscaler_conflicts = AutoscalerConflicts(kube)
        self._reporter = Reporter(kube, store, now)
        self._uids: dict[CommunityKey, str] = {}
        self._settled: dict[CommunityKey, Basis] = {}

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
        community = prewarm.with_windows(parse(resource), now)
        change = prewarm.next_change(community, now)
        if change is not None:
            self._later(key, (change - now).total_seconds())
        return await self._converge(resource, community, key, revision)

    async def _converge(self, resource: Manifest, community: Community, key: CommunityKey, revision: int) -> str:
        """Read, decide, write, report. Returns as `_reconcile`."""
        inputs = await self._read(resource, community, key, revision)
        if self._settled.get(key) == inputs.basis:
            return "success"
        live = self._store.children(key)
        children, problems = await self._desired(inputs, live)
        written = await self._write(inputs, children, live)
        podless = refused_pods.without_pods(written.progress.job, written.live, self._now())
        problems = [*written.outcome.problems, *problems, *await self._read_problems(inputs, written, podless)]
        observed = observation.observe(inputs, children, written, problems, self._now(), sees_all=self._sees_all)
        new = status.compute(observed, inputs.status, self._now())
        failed = bool(inputs.secrets.failed or inputs.keda.failure or written.outcome.failed)
        if (
            new == inputs.status
            and not (failed or podless)
            and observation.is_settled(community, written.plan, written.live)
        ):
            self._settled[key] = inputs.basis
        else:
            self._settled.pop(key, None)
        await self._reporter.report(resource, new, self._events(inputs, written))
        if failed:
            return "error"
        # Objects without our label are not watched: no event will say that they are gone, so read them again soon.
        return "waiting" if written.plan.terminating else "success"

    async def _read(self, resource: Manifest, community: Community, key: CommunityKey, revision: int) -> Inputs:
        """Read what no watch holds: Secrets, which are created where they lack, and the ScaledObject."""
        secrets = await self._secrets.ensure(community, create=community.paused is None)
        community = replace(community, first_issuer=community.first_issuer or secrets.issuer)
        keda = await scaled_object.read(self._kube, community, has_rights=self._has_keda)
        if keda.live is not None:
            self._store.put(keda.live)
        elif keda.is_read:
            self._store.gone(keda.key)
        holder = self._store.hosts.holder(community)
        outlook = self._outlook(community.namespace)
        basis = Basis(revision, secrets, keda.obstacle, self._now().date(), holder, outlook)
        return Inputs(key, resource, community, secrets, keda, holder, outlook, basis)

    async def _desired(self, inputs: Inputs, live: Live) -> tuple[list[Child], list[Problem]]:
        """Return the children that the Community should have now, and what of its spec they cannot follow."""
        community, keda = inputs.community, inputs.keda
        children = build.children(
            community,
            inputs.secrets.digests,
            claim=progress.claim_uid(community, live),
            has_keda=not keda.obstacle,
            has_routes=not inputs.outlook.lacking,
        )
        children, problems = fitted(community, children, live)
        children = await with_class(self._kube, community, children, live)
        if keda.failure is not None and keda.key not in live:
            # Either autoscaler may be the second one beside a ScaledObject that is there and could not be read.
            children = [_waiting(child) if child.key == keda.key else child for child in children]
        if inputs.holder is not None:
            extra = {"community": str(community), "host": community.host, "by": inputs.holder.whose}
            _log.warning("host taken", extra=extra)
            children = self._store.hosts.give_way(community, children)
        if self._store.awaited or inputs.outlook.unread:
            # The host may be served from a namespace of which nothing is known yet: what is live stays as it is.
            children = [_waiting(child) if child.key.kind in WAYS_IN else child for child in children]
        self._store.remember(children)
        return children, problems

    async def _write(self, inputs: Inputs, children: list[Child], live: dict[Key, Manifest]) -> Written:
        """Plan, and carry the plan out unless the Community is paused."""
        community, key = inputs.community, inputs.key
        lost = self._store.take_lost(key)
        rollout = progress.observe(community, children, live)
        spared = route.spared(community, live) if inputs.holder is None else frozenset()
        planned = plan.make(community, children, live, rollout, self._store.applied, self._store.baselines, spared)
        outcome = await self._executor.run(community, planned, lost) if community.paused is None else Outcome()
        planned.foreign += outcome.foreign
        planned.terminating += [*outcome.terminating, *inputs.secrets.terminating]
        if planned.applies or planned.scales or planned.adjusts:
            live = self._store.children(key)
            rollout = progress.observe(community, children, live)
        return Written(planned, outcome, rollout, live)

    async def _read_problems(self, inputs: Inputs, written: Written, podless: list[Manifest]) -> list[Problem]:
        """Return what is wrong beyond the children: with KEDA, HTTPRoutes, the host, nodes, Events and other autoscalers."""
        community, now = inputs.community, self._now()
        found = inputs.keda.problems(community)
        found += gateway.missing(community, inputs.outlook.lacking)
        if inputs.holder is not None:
            found.append(host.problem(community, inputs.holder))
        found += [host.uncompared(child.key) for child in written.plan.held if child.key.kind in WAYS_IN]
        if self._sees_all:  # nodes belong to no namespace: an operator of some namespaces may not read them
            staying = spot.must_stay(written.live.values())
            found += spot.of_nodes(community, staying, await self._nodes.labels(staying))
        refused = await refused_pods.read(self._kube, community, podless, now)
        if len(refused) < len(podless):
            self._later(inputs.key, refused_pods.READ_AGAIN_SECONDS)
        return [*found, *refused, *await self._autoscaler_conflicts.read(community, written.plan)]

    def _events(self, inputs: Inputs, written: Written) -> list[Event]:
        """Return the Events of what was put back, replaced or rewritten by a webhook."""
        secrets, outcome = inputs.secrets, written.outcome
        restored = outcome.restored + [f"{secret} was deleted and has been put back." for secret in secrets.restored]
        restored += [f"{secret} had no owner and has one again." for secret in secrets.adopted]
        restored += [f"{secret}: its other keys follow the changed password." for secret in secrets.renewed]
        live, community = written.live, inputs.community
        kept = [one for one in written.plan.retained if one in live and not plan.is_inherited(community, live[one])]
        adopted = [f"{one} of an earlier Community of this name is in use." for one in [*secrets.retained, *kept]]
        return [
            *(Event("Normal", EventReason.CHILD_REWRITTEN, text) for text in outcome.rewritten),
            *(Event("Normal", EventReason.POD_REPLACED, text) for text in outcome.replaced),
            *(Event("Normal", EventReason.RETAINED_ADOPTED, text) for text in adopted),
            *(Event("Normal", EventReason.CHILD_RESTORED, text) for text in self._reporter.fresh(inputs.key, restored)),
        ]

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
            self._secrets.forget(uid)
            self._autoscaler_conflicts.forget(uid)


def _waiting(child: Child) -> Child:
    return replace(child, gate=Gate.UNREAD)
