"""What a pass observed of a Community: everything that its status is computed from, and whether it has settled."""

from __future__ import annotations

from datetime import datetime

from bapsang_operator.build import wiring
from bapsang_operator.build.child import Child
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.controller.state import Inputs, Written
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component
from bapsang_operator.planning import prewarm, route
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem, ranked
from bapsang_operator.problems import autoscaler, gateway, prerequisites, runs, spot, workloads
from bapsang_operator.resource import Community


def observe(
    inputs: Inputs, children: list[Child], written: Written, problems: list[Problem], now: datetime, *, sees_all: bool
) -> Observation:
    """Return everything that the status is computed from. `problems` were found while reading and writing."""
    community, live, rollout, secrets = inputs.community, written.live, written.progress, inputs.secrets
    pods = [found for key, found in sorted(live.items()) if key.kind == "Pod"]
    foreign = [*written.plan.foreign, *secrets.foreign]
    # The generated Secret of an earlier Community vanishes by itself; a foreign one is a problem of its own.
    unfit = {
        f"{wiring.CONFIG_MAP}{key.name}" if key.kind == "ConfigMap" else key.name
        for key in (*secrets.foreign, *secrets.terminating, *secrets.withheld, *secrets.failed)
    }
    faulty = {(fault.ref.name, fault.ref.key) for fault in secrets.faulty}
    missing = [
        ref
        for ref in prerequisites.missing_secrets(children)
        if ref.name not in unfit and (ref.name, ref.key) not in faulty
    ]
    last = runs.last_succeeded(live, Component.LIKE_SYNC)
    found = [
        *prerequisites.of_secrets(community, missing),
        *prerequisites.of_faulty(community, secrets.faulty),
        *prerequisites.of_foreign(community, foreign),
        *secrets.failed.values(),
        *problems,
        *workloads.of_migration(community, rollout, pods),
        *workloads.of_pods(community, rollout.job, pods, now),
        *workloads.of_rollout(community, rollout),
        *workloads.of_refused_pods(live.values()),
        *workloads.of_media(community, live, now),
        *workloads.of_mail(community, live, now),
        *autoscaler.failures(community, rollout.burst, rollout.media, live, now),
    ]
    found += [*prerequisites.of_drain(community), *spot.of_notice(community)]
    found += prerequisites.of_windows(prewarm.unusable(community, now))
    found += runs.failures(community, live)
    parents = route.parents(community, children, live)
    found += gateway.refusals(community, parents)
    windows = prewarm.openings(community, now)
    return Observation(community, rollout, written.plan, ranked(found), last, windows, sees_all, parents)


def is_settled(community: Community, planned: Plan, live: dict[Key, Manifest]) -> bool:
    """Tell whether another pass over the same would find the same: nothing was to be done, and nothing waits for a time."""
    waits = bool(community.prewarm) or any(
        found.get("status", {}).get("phase", "Pending") == "Pending" for key, found in live.items() if key.kind == "Pod"
    )
    waits = waits or workloads.unavailable_media(community, live) is not None
    waits = waits or workloads.unavailable_mail(community, live) is not None
    return not waits and not autoscaler.is_failing(community, live) and planned == Plan()
