"""Head room: placeholder pods that keep place for burst pods and give way to them at once."""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import meta, placement, pod, template
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: A placeholder has nothing to end. Not 0: with 0 its place counts as free before the kubelet has let go of it.
GRACE_SECONDS = 1


def headroom(community: Community, replicas: int) -> Child:
    """Return the placeholders: as large as burst pods and placed like them, at a priority below that of any pod.

    The scheduler removes one as soon as a real pod needs its place; a node autoscaler then starts a node for the
    placeholder, which nobody waits for. They sleep in the API's image, so its layers are already on the node.
    """
    labels = meta.labels(community, Component.HEADROOM)
    container = {
        "name": "placeholder",
        "image": community.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": pod.resources(community.api.burst.resources),
        "securityContext": pod.container_security(),
    }
    return Child(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": meta.metadata(community, names.headroom(community.name), Component.HEADROOM),
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": meta.selector(community, Component.HEADROOM)},
                # Never more of them than asked for: a surge would make a node autoscaler buy a node.
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": "100%"}},
                "revisionHistoryLimit": 1,
                "template": template.placed(
                    {
                        "metadata": {"labels": labels},
                        "spec": pod.spec(
                            pod.API_USER,
                            [container],
                            [],
                            priorityClassName=names.HEADROOM_PRIORITY_CLASS,
                            terminationGracePeriodSeconds=GRACE_SECONDS,
                            tolerations=placement.tolerations(community, spot=True),
                            **placement.spot(community),
                            **placement.spread(community, Component.HEADROOM),
                        ),
                    },
                    community.api.pod_template,
                ),
            },
        },
        # The image is known to start by then, and the real pods have had their choice of places.
        Gate.BASE,
    )
