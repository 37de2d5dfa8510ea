"""The mail workers: a Deployment that hands the letters of the outbox to the mail server.

They need the database, the mail server and the key that signs tokens, by which letters are encrypted until they are sent,
and no Redis. No budget guards them: a worker that is told to end finishes its letter within seconds, and letters wait.
"""

from __future__ import annotations

from bapsang_operator import names
from bapsang_operator.build import api, meta, placement, pod, template, tls, wiring
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Mail

#: The one container of a pod.
CONTAINER = "mail"
#: Seconds from SIGTERM until the kubelet kills. The worker gives the letter under way 25: cut off, it may be sent again.
GRACE_SECONDS = 30


def mail(community: Community, wanted: Mail, digests: wiring.Digests) -> Child:
    """Return the Deployment of a Community with spec.mail, `wanted`. Its count is owned, as that of the base tier.

    It follows the migration and not the base tier: a letter that it does not know waits for a worker that does.
    """
    secrets = wiring.mail_values(community)
    manifest: Manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta.metadata(community, names.mail(community.name), Component.MAIL),
        "spec": {
            "replicas": 0 if community.hibernate else wanted.replicas,
            "selector": {"matchLabels": meta.selector(community, Component.MAIL)},
            **api.ROLLOUT,
            "template": template.overlaid(
                {
                    "metadata": {
                        "labels": meta.labels(community, Component.MAIL),
                        "annotations": {names.ANNOTATION_SECRETS: api.checksum(secrets, digests)},
                    },
                    "spec": pod.spec(
                        pod.API_USER,
                        [_container(community, wanted)],
                        _volumes(community),
                        # The API's own, as its image pull secrets may hang on it; nothing is asked of a cloud provider.
                        serviceAccountName=names.api(community.name),
                        tolerations=placement.tolerations(community, spot=True),
                        terminationGracePeriodSeconds=GRACE_SECONDS,
                        **placement.spot(community),
                        **placement.spread(community, Component.MAIL),
                    ),
                },
                wanted.pod_template,
            ),
        },
    }
    return Child(manifest, Gate.MIGRATION, wiring.missing(secrets, digests))


def _container(community: Community, wanted: Mail) -> Manifest:
    return {
        "name": CONTAINER,
        "image": community.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["mail", "--host", "0.0.0.0"],  # noqa: S104 - a pod's own address
        "env": wiring.mail_env(community),
        "ports": [{"name": "admin", "containerPort": wiring.ADMIN_PORT, "protocol": "TCP"}],
        # A worker that finds old letters is not ready until it has sent them, which is no reason to kill it.
        **pod.probes(startup="/livez"),
        "resources": pod.resources(wanted.resources),
        "securityContext": pod.container_security(),
        "terminationMessagePolicy": "File",
        # No /tmp: letters are made in memory.
        "volumeMounts": [
            {"name": "signing-key", "mountPath": wiring.KEY_FOLDER, "readOnly": True},
            *tls.mounts(community, wiring.MAIL_SERVERS),
        ],
    }


def _volumes(community: Community) -> list[Manifest]:
    key = wiring.signing_key(community)
    return [
        pod.secret_file("signing-key", key.name, key.key, wiring.KEY_FILE),
        *tls.volumes(community, wiring.MAIL_SERVERS),
    ]
