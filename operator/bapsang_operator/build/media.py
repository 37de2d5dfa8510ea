"""The photo workers: a Deployment that makes of each uploaded photo the sizes in which it is shown.

They need the database and the bucket and no Redis. No budget guards them: a worker that is told to end gives its photo
back within seconds, and no request waits for it.
"""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, meta, placement, pod, template, tls, wiring
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

#: The one container of a pod; what it uses is what the autoscaler counts.
CONTAINER = "media"
#: Seconds from SIGTERM until the kubelet kills. A photo that is being worked on is given back, not finished.
GRACE_SECONDS = 30


def media(community: Community, digests: wiring.Digests) -> Child:
    """Return the Deployment of a Community with storage. Its autoscaler decides the count, so `spec.replicas` is never
    sent, as with the burst tier.

    It follows the migration and not the base tier: workers of the new image understand the photos of both.
    """
    secrets = wiring.media_values(community)
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta.metadata(community, names.media(community.name), Component.MEDIA),
        "spec": {
            "selector": {"matchLabels": meta.selector(community, Component.MEDIA)},
            **api.ROLLOUT,
            "template": template.overlaid(
                {
                    "metadata": {
                        "labels": meta.labels(community, Component.MEDIA),
                        "annotations": {names.ANNOTATION_SECRETS: api.checksum(secrets, digests)},
                    },
                    "spec": pod.spec(
                        pod.API_USER,
                        [_container(community)],
                        tls.volumes(community, wiring.MEDIA_STORES),
                        # The API's own: its role at the cloud provider may read uploads and write what is shown.
                        serviceAccountName=names.api(community.name),
                        tolerations=placement.tolerations(community, spot=True),
                        terminationGracePeriodSeconds=GRACE_SECONDS,
                        **placement.spot(community),
                        **placement.spread(community, Component.MEDIA),
                    ),
                },
                community.media.pod_template,
            ),
        },
    }
    return Child(manifest, Gate.MIGRATION, wiring.missing(secrets, digests))


def _container(community: Community) -> Manifest:
    return {
        "name": CONTAINER,
        "image": community.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["media", "--host", "0.0.0.0"],  # noqa: S104 - a pod's own address
        "env": wiring.media_env(community),
        "ports": [{"name": "admin", "containerPort": wiring.ADMIN_PORT, "protocol": "TCP"}],
        **pod.probes(),
        "resources": pod.resources(community.media.resources),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        # No /tmp: photos go from process to process and never touch a file.
        "volumeMounts": tls.mounts(community, wiring.MEDIA_STORES),
    }
