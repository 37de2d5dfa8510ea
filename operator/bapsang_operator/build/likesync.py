"""The CronJob that writes likes from Redis to MySQL."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.build import job, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: After this a run is killed, wherever it is; the next one goes on there.
ACTIVE_SECONDS: Final = 300
#: What a run needs to end by itself after its deadline: one batch and the clearing up.
_MARGIN_SECONDS: Final = 15


def like_sync(community: Community, digests: wiring.Digests) -> Child:
    """Return the CronJob."""
    sync = community.like_sync
    return job.cron(
        community,
        names.like_sync(community.name),
        Component.LIKE_SYNC,
        schedule=sync.schedule,
        suspend=sync.suspend or community.hibernate,
        seconds=ACTIVE_SECONDS,
        spec=job.template_spec(
            community,
            Component.LIKE_SYNC,
            ["like-sync", "--batch-size", str(sync.batch_size), "--deadline", str(deadline(community))],
            wiring.store_env(community),
        ),
        missing=wiring.missing(wiring.job_values(community), digests),
    )


def deadline(community: Community) -> int:
    """Return the seconds after which a run begins no further batch, so that it has ended when the next one is due. They
    count from its start, which comes `job.offset` after the schedule.

    Schedules that are not `* * * * *` or `*/N * * * *` are rarer than a run may last at all.
    """
    minute, *rest = community.like_sync.schedule.split()
    interval = ACTIVE_SECONDS
    if rest == ["*"] * 4 and minute == "*":
        interval = 60
    elif rest == ["*"] * 4 and minute.startswith("*/") and minute[2:].isdigit():
        interval = 60 * int(minute[2:])
    return max(60, min(interval, ACTIVE_SECONDS)) - _MARGIN_SECONDS - job.offset(community)
