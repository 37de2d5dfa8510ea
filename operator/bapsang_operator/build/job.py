"""The pods of batch jobs: the image of the API with another command."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import placement, pod
from bapsang_operator.child import Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community, Resources

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
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - a volume of the pod's own
    }
    return pod.spec(
        pod.API_USER,
        [container],
        [pod.scratch("tmp", "64Mi")],
        serviceAccountName=names.api(community.name),
        restartPolicy="Never",
        **placement.on_demand(community),
    )
