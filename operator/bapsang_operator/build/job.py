"""The pods of batch jobs: the image of the API with another command."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta, placement, pod
from bapsang_operator.child import Child, Gate, Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community, Resources, SecretRef

#: Jobs move rows, they do not serve: their size does not follow the API's.
_RESOURCES = Resources(requests={"cpu": "50m", "memory": "128Mi"}, limits={"memory": "384Mi"})


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
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod's own
    }
    return pod.spec(
        pod.API_USER,
        [container],
        [pod.tmp()],
        serviceAccountName=names.api(community.name),
        restartPolicy="Never",
        **placement.on_demand(community),
    )


def cron(
    community: Community,
    name: str,
    component: Component,
    *,
    schedule: str,
    suspend: bool,
    seconds: int,
    template: Manifest,
    missing: tuple[SecretRef, ...],
) -> Child:
    """Return a CronJob whose runs may take `seconds`. It follows the migration: it runs the new image on the new tables."""
    labels = meta.labels(community, component)
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
                        "activeDeadlineSeconds": seconds,
                        "template": {"metadata": {"labels": dict(labels)}, "spec": template},
                    },
                },
            },
        },
        Gate.MIGRATION,
        missing,
    )
