"""The pods of batch jobs: the image of the API with another command."""

from __future__ import annotations

import hashlib
from typing import Final

from bapsang_operator import names
from bapsang_operator.build import meta, placement, pod, template, tls
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Resources, SecretRef
from bapsang_operator.resource.pods import JOBS

#: Jobs move rows, they do not serve: their size does not follow the API's.
_RESOURCES = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "384Mi"})
#: A drained node, or a pod evicted for what the node lacks, is no failed run: the Job makes another pod.
IGNORE_DISRUPTIONS: Final = {
    "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
}
#: Seconds over which the runs of all Communities are spread. Schedules know minutes only, so without it all programs of a
#: cluster would start, and ask their databases, in the same second. Not the whole minute: a run must have ended when the
#: next one is due, so what it waits for is missing from its time.
SPREAD_SECONDS: Final = 20
#: Starts the image's program with the container's arguments after the seconds that follow. Not an option of the program,
#: which an image from before would refuse; not an init container, which a node would have to start each minute as well.
#: Without the trap the first process of a container does not hear SIGTERM.
WAIT: Final = ["/bin/sh", "-c", 'trap "exit 143" TERM; sleep "$0" & wait "$!"; trap - TERM; exec bapsang-api "$@"']


def offset(community: Community) -> int:
    """Return the seconds that the scheduled runs of this Community wait, always the same ones: two runs keep their distance."""
    name = f"{community.namespace}/{community.name}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % SPREAD_SECONDS


def template_spec(community: Community, component: Component, args: list[str], env: list[Manifest]) -> Manifest:
    """Return the pod spec of a job. Failed pods stay, so that their logs can be read."""
    container = {
        "name": component.value,
        "image": community.image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "env": env,
        "resources": pod.resources(_RESOURCES),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        # A volume of the pod's own.
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *tls.mounts(community)],  # noqa: S108
    }
    return pod.spec(
        pod.API_USER,
        [container],
        [pod.tmp(), *tls.volumes(community)],
        serviceAccountName=names.api(community.name),
        restartPolicy="Never",
        **placement.on_demand(community),
    )


def overlaid(community: Community, built: Manifest) -> Manifest:
    """Return the pod template of a job with `spec.jobs.podTemplate` over it; containers of other jobs are left out."""
    return template.overlaid(built, community.jobs.pod_template, others=JOBS)


def cron(
    community: Community,
    name: str,
    component: Component,
    *,
    schedule: str,
    suspend: bool,
    seconds: int,
    spec: Manifest,
    missing: tuple[SecretRef, ...],
) -> Child:
    """Return a CronJob whose runs may take `seconds`, after a wait of `offset`. It follows the migration: it runs the new
    image on the new tables."""
    labels = meta.labels(community, component)
    (container,) = spec["containers"]
    late = spec | {"containers": [container | {"command": [*WAIT, str(offset(community))]}]}
    return Child(
        {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": meta.metadata(community, name, component),
            "spec": {
                "schedule": schedule,
                "timeZone": "Etc/UTC",
                "suspend": suspend,
                # Two runs at once would only wait for each other's lock.
                "concurrencyPolicy": "Forbid",
                # Above the controller's own 10 s rhythm; below it, runs are skipped for good.
                "startingDeadlineSeconds": 120,
                "successfulJobsHistoryLimit": 1,
                "failedJobsHistoryLimit": 2,
                "jobTemplate": {
                    "metadata": {"labels": labels},
                    "spec": {
                        # The next run is the retry.
                        "backoffLimit": 0,
                        "podFailurePolicy": IGNORE_DISRUPTIONS,
                        "activeDeadlineSeconds": seconds,
                        "template": overlaid(community, {"metadata": {"labels": dict(labels)}, "spec": late}),
                    },
                },
            },
        },
        Gate.MIGRATION,
        missing,
    )
