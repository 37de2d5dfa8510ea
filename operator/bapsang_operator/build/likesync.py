"""The CronJob that writes likes from Redis to MySQL."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import job, wiring
from bapsang_operator.child import Child
from bapsang_operator.names import Component
from bapsang_operator.spec import Community


def like_sync(community: Community, digests: wiring.Digests) -> Child:
    """Return the CronJob."""
    sync = community.like_sync
    return job.cron(
        community,
        names.like_sync(community.name),
        Component.LIKE_SYNC,
        schedule=sync.schedule,
        suspend=sync.suspend or community.hibernate,
        seconds=300,
        template=job.template_spec(
            community,
            Component.LIKE_SYNC,
            ["like-sync", "--batch-size", str(sync.batch_size)],
            wiring.store_env(community),
        ),
        missing=wiring.missing(wiring.job_secrets(community), digests),
    )
