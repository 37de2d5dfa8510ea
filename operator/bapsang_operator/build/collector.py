"""The CronJob that deletes images which nothing refers to."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import job, wiring
from bapsang_operator.build.child import Child
from bapsang_operator.names import Component
from bapsang_operator.resource import Community


def image_collector(community: Community, digests: wiring.Digests) -> Child:
    """Return the CronJob of a Community with storage."""
    collector = community.image_collector
    return job.cron(
        community,
        names.image_collector(community.name),
        Component.IMAGE_COLLECTOR,
        schedule=collector.schedule,
        suspend=collector.suspend or community.hibernate,
        # A bucket that nobody has tidied for long takes its time.
        seconds=3600,
        spec=job.template_spec(
            community,
            Component.IMAGE_COLLECTOR,
            ["image-collector", "--older-than", str(collector.grace_hours)],
            [*wiring.store_env(community), *wiring.storage_env(community), wiring.originals_env(community)],
        ),
        missing=wiring.missing([*wiring.job_values(community), *wiring.storage_secrets(community)], digests),
    )
