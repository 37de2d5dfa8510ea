"""The migration Job: it runs once for each image, and the rollout waits for it."""

from __future__ import annotations

import hashlib
import json

from bapsang_operator import names
from bapsang_operator.build import job, meta, wiring
from bapsang_operator.child import Child, Gate
from bapsang_operator.names import Component
from bapsang_operator.spec import Community

#: The Job waits this many seconds for a database that is still starting.
_ARGS = ["migrate", "--wait", "60"]


def digest(community: Community) -> str:
    """Return the suffix of the Job's name: a hash of image and arguments, since a Job cannot be changed."""
    return hashlib.sha256(json.dumps([community.image, *_ARGS]).encode()).hexdigest()[:8]


def migration(community: Community, digests: wiring.Digests) -> Child:
    """Return the Job. Its pod template holds no secret checksum: a rotated password is no reason to migrate."""
    return Child(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": meta.metadata(community, names.migration(community.name, digest(community)), Component.MIGRATE),
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": 900,
                # A drained node is no failed migration.
                "podFailurePolicy": {
                    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
                },
                "template": {
                    "metadata": {"labels": meta.labels(community, Component.MIGRATE)},
                    "spec": job.template_spec(community, Component.MIGRATE, _ARGS, wiring.store_env(community)),
                },
            },
        },
        Gate.DATABASE,
        wiring.missing(wiring.job_secrets(community), digests),
    )
