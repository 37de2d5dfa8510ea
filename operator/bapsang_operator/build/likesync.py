"""The CronJob that writes likes from Redis to MySQL."""

from __future__ import annotations

from typing import Final

from bapsang_operator import names
from bapsang_operator.build import job, meta, wiring
from bapsang_operator.child import Child, Gate
from bapsang_operator.names import Component
from bapsang_operator.spec import Community

#: After this a run is killed, wherever it is; the next one goes on there.
ACTIVE_SECONDS: Final = 300
#: What a run needs to end by itself after its deadline: one batch and the clearing up.
_MARGIN_SECONDS: Final = 15


def like_sync(community: Community, digests: wiring.Digests) -> Child:
    """Return the CronJob. It follows the migration, because it runs the new image's code on the new tables."""
    sync = community.like_sync
    args = ["like-sync", "--batch-size", str(sync.batch_size), "--deadline", str(deadline(sync.schedule))]
    return Child(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": meta.metadata(community, names.like_sync(community.name), Component.LIKE_SYNC),
            "spec": {
                "schedule": sync.schedule,
                "timeZone": "Etc/UTC",
                "suspend": sync.suspend,
                # Two runs at once would only wait for each other's lock.
                "concurrencyPolicy": "Forbid",
                # Above the controller's own 10 s rhythm; below it, runs are skipped for good.
                "startingDeadlineSeconds": 120,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 2,
                "jobTemplate": {
                    "metadata": {"labels": meta.labels(community, Component.LIKE_SYNC)},
                    "spec": {
                        # The next run is the retry.
                        "backoffLimit": 0,
                        "activeDeadlineSeconds": ACTIVE_SECONDS,
                        "template": {
                            "metadata": {"labels": meta.labels(community, Component.LIKE_SYNC)},
                            "spec": job.template_spec(
                                community, Component.LIKE_SYNC, args, wiring.store_env(community)
                            ),
                        },
                    },
                },
            },
        },
        Gate.MIGRATION,
        wiring.missing(wiring.job_secrets(community), digests),
    )


def deadline(schedule: str) -> int:
    """Return the seconds after which a run begins no further batch, so that it has ended when the next one is due.

    Schedules that are not `* * * * *` or `*/N * * * *` are rarer than a run may last at all.
    """
    minute, *rest = schedule.split()
    interval = ACTIVE_SECONDS
    if rest == ["*"] * 4 and minute == "*":
        interval = 60
    elif rest == ["*"] * 4 and minute.startswith("*/") and minute[2:].isdigit():
        interval = 60 * int(minute[2:])
    return max(60, min(interval, ACTIVE_SECONDS)) - _MARGIN_SECONDS
