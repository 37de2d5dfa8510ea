"""What a pass has seen of a Community: everything that its status is computed from, and whether it may rest."""

from __future__ import annotations

from datetime import datetime

from bapsang_operator import autoscaler, names, prewarm, problems, progress, spot, status
from bapsang_operator.child import Child, Manifest
from bapsang_operator.keep import Kept
from bapsang_operator.kinds import Key
from bapsang_operator.names import Component
from bapsang_operator.plan import Plan
from bapsang_operator.problems import Problem
from bapsang_operator.progress import Progress
from bapsang_operator.spec import Community


def see(
    community: Community,
    children: list[Child],
    live: dict[Key, Manifest],
    rollout: Progress,
    planned: Plan,
    kept: Kept,
    hindrances: list[Problem],
    now: datetime,
    *,
    sees_all: bool = True,
) -> status.Seen:
    """Return everything the status is computed from. `hindrances` came to light while the plan was carried out."""
    pods = [found for key, found in sorted(live.items()) if key.kind == "Pod"]
    foreign = [*planned.foreign, *kept.foreign]
    # The generated Secret of an earlier Community vanishes by itself; a foreign one is a problem of its own.
    unfit = {key.name for key in (*kept.foreign, *kept.vanishing, *kept.failed)}
    faulty = {(fault.ref.name, fault.ref.key) for fault in kept.faulty}
    missing = [
        ref for ref in problems.missing_secrets(children) if ref.name not in unfit and (ref.name, ref.key) not in faulty
    ]
    last = _last_run(live, Component.LIKE_SYNC)
    found = [
        *problems.of_secrets(community, missing),
        *problems.of_faulty(community, kept.faulty),
        *problems.of_foreign(community, foreign),
        *kept.failed.values(),
        *hindrances,
        *problems.of_migration(community, rollout, pods),
        *problems.of_pods(community, rollout.job, pods, now),
        *problems.of_rollout(community, rollout),
        *problems.of_refused_pods(live.values()),
        *autoscaler.failures(community, rollout.burst, live, now),
    ]
    found += [*problems.of_drain(community), *spot.of_notice(community)]
    found += problems.of_windows(prewarm.unusable(community, now))
    if last is False and not community.like_sync.suspend:
        found.append(problems.of_like_sync(community))
    if _is_collecting(community) and _last_run(live, Component.IMAGE_COLLECTOR) is False:
        found.append(problems.of_image_collector(community))
    windows = prewarm.openings(community, now)
    return status.Seen(community, rollout, planned, problems.ranked(found), last, windows, sees_all)


def is_settled(community: Community, planned: Plan, live: dict[Key, Manifest]) -> bool:
    """Tell whether another pass over the same would find the same: nothing was to be done, and nothing waits for a time."""
    waits = community.prewarm or any(
        found.get("status", {}).get("phase", "Pending") == "Pending" for key, found in live.items() if key.kind == "Pod"
    )
    return not waits and not autoscaler.is_failing(community, live) and planned == Plan()


def _is_collecting(community: Community) -> bool:
    return community.storage is not None and not community.image_collector.suspend


def _last_run(live: dict[Key, Manifest], component: Component) -> bool | None:
    """Tell whether the run of a CronJob that ended last succeeded; None when none has ended."""
    ended: list[tuple[str, bool]] = []
    for key, job in live.items():
        if key.kind == "Job" and job["metadata"].get("labels", {}).get(names.LABEL_COMPONENT) == component:
            for kind, succeeded in (("Complete", True), ("Failed", False)):
                condition = progress.job_condition(job, kind)
                if condition is not None:
                    ended.append((condition["lastTransitionTime"], succeeded))
    return max(ended)[1] if ended else None
