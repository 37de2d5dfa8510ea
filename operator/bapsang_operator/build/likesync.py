"""The CronJob that writes likes from Redis to MySQL."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import job, meta, wiring
from bapsang_operator.child import Child, Gate
from bapsang_operator.names import Component
from bapsang_operator.spec import Community


def like_sync(community: Community, digests: wiring.Digests) -> Child:
    """Return the CronJob. It follows the migration, because it runs the new image's code on the new tables."""
    sync = community.like_sync
    args = ["like-sync", "--batch-size", str(sync.batch_size)]
    return Child(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": meta.metadata(community, names.like_sync(community.name), Component.LIKE_SYNC),
            "spec": {
                "schedule": sync.schedule,
                "timeZone": "Etc/UTC",
                "suspend": sync.suspend or community.hibernate,
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
                        "activeDeadlineSeconds": 300,
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
