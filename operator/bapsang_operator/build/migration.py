"""The migration Job: it runs once for each image and database, and the rollout waits for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from bapsang_operator import names
from bapsang_operator.build import job, meta, tls, wiring
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, SecretRef

#: The Job waits this many seconds for a database that is still starting.
_ARGS = ["migrate", "--wait", "60"]


def digest(community: Community, digests: wiring.Digests, claim: str) -> str:
    """Return the suffix of the Job's name, since a Job cannot be changed: a hash of image, arguments and database.

    The database is the writer's URL, and the claim's uid where it is embedded: a Secret that names another one, or a
    volume that was lost, asks for another run before any pod follows. So does each server and each authority that the Job
    verifies before it migrates: what it refuses, no new pod meets. The hash is keyed by the key that signs tokens:
    everybody may read the name of a Job, and could try passwords against a plain hash of the URL.
    """
    writer, key = wiring.database(community), wiring.signing_key(community)
    values: list[Any] = [community.image, *_ARGS, digests.get((writer.name, writer.key), ""), claim]
    values += [[ref.name, ref.key, digests.get((ref.name, ref.key), "")] for ref in _verifies(community)]
    values += tls.env(community)
    # A Job cannot be changed: one that waits for a pull secret would not get it. Absent where nothing is laid over it.
    values += [community.jobs.pod_template] if community.jobs.pod_template else []
    secret = digests.get((key.name, key.key), "")
    return hmac.new(secret.encode(), json.dumps(values, sort_keys=True).encode(), hashlib.sha256).hexdigest()[:8]


def earlier_digest(community: Community) -> str:
    """Return the suffix that operators before this one gave the Job: a hash of image and arguments alone."""
    return hashlib.sha256(json.dumps([community.image, *_ARGS]).encode()).hexdigest()[:8]


def _verifies(community: Community) -> list[SecretRef]:
    """Return what the Job reads of the servers that it verifies, the database's own URL aside; nothing where it verifies none."""
    cache = wiring.redis(community) if community.redis.verified else None
    reader = community.database.reader if community.database.verified else None
    return [*wiring.authorities(community), *(ref for ref in (cache, reader) if ref is not None)]


def _env(community: Community) -> list[Manifest]:
    return wiring.store_env(community) + (wiring.reader_env(community) if community.database.verified else [])


def migration(community: Community, digests: wiring.Digests, claim: str) -> Child:
    """Return the Job. Until the signing key is there its name cannot be told, so it waits for that, too."""
    return Child(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": meta.metadata(
                community, names.migration(community.name, digest(community, digests, claim)), Component.MIGRATE
            ),
            "spec": {
                "backoffLimit": 2,
                "activeDeadlineSeconds": 900,
                "podFailurePolicy": job.IGNORE_DISRUPTIONS,
                "template": job.overlaid(
                    community,
                    {
                        "metadata": {"labels": meta.labels(community, Component.MIGRATE)},
                        "spec": job.template_spec(community, Component.MIGRATE, _ARGS, _env(community)),
                    },
                ),
            },
        },
        Gate.DATABASE,
        wiring.missing([*wiring.job_values(community), *_verifies(community), wiring.signing_key(community)], digests),
    )
