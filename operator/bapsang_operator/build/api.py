"""The API: the base and burst Deployments, their Service and their ServiceAccount."""

from __future__ import annotations

import hashlib
import json

from bapsang_operator import names
from bapsang_operator.build import meta, placement, pod, template, tls, wiring
from bapsang_operator.build.child import Child, Gate
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community, Resources, SecretRef

#: The one container of a pod whose load the autoscaler counts.
CONTAINER = "api"
#: Port of the Service, called `http`.
SERVICE_PORT = 80
#: Never fewer pods than before: a new pod must be ready before an old one goes.
ROLLOUT: Manifest = {
    "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
    "progressDeadlineSeconds": 300,
    "revisionHistoryLimit": 3,
}
#: Seconds at the end of the drain in which the process knows of it: readiness fails and answers close their connections.
CLOSING_SECONDS = 5


def drain(community: Community) -> tuple[int, int]:
    """Return how `spec.api.drainSeconds` is split: seconds of preStop, in which the process serves without knowing of its
    end, and seconds between SIGTERM and the end of its listener. Both together are what load balancers are given."""
    closing = min(CLOSING_SECONDS, community.api.drain_seconds // 2)
    return community.api.drain_seconds - closing, closing


def checksum(refs: list[SecretRef], digests: wiring.Digests) -> str:
    """Return one hash over the values behind `refs`, so that a rotated secret changes the pod template."""
    values = sorted((ref.name, ref.key, digests.get((ref.name, ref.key), "")) for ref in refs)
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


def base(community: Community, digests: wiring.Digests) -> Child:
    """Return the on-demand tier. Its replica count is owned: a hand-made scale-down is undone."""
    manifest = _deployment(
        community,
        digests,
        name=names.api_base(community.name),
        tier="base",
        resources=community.api.base.resources,
        place=placement.on_demand(community),
    )
    manifest["spec"]["replicas"] = 0 if community.hibernate else community.api.base.replicas
    return Child(manifest, Gate.MIGRATION, wiring.missing(wiring.api_values(community), digests))


def burst(community: Community, digests: wiring.Digests) -> Child:
    """Return the tier that the autoscaler scales.

    `spec.replicas` is never sent: owning it once and dropping it later would scale the tier to one pod.
    """
    manifest = _deployment(
        community,
        digests,
        name=names.api_burst(community.name),
        tier="burst",
        resources=community.api.burst.resources,
        place=placement.spot(community),
    )
    return Child(manifest, Gate.BASE, wiring.missing(wiring.api_values(community), digests))


def service(community: Community) -> Child:
    """Return the Service in front of both tiers."""
    return Child(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta.metadata(community, names.api(community.name), Component.API),
            "spec": {
                "type": "ClusterIP",
                "selector": meta.selector(community, Component.API),
                "ports": [{"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": "http"}],
            },
        }
    )


def service_account(community: Community) -> Child:
    """Return the identity of API pods, photo workers and jobs; it has no rights in the cluster and no token is mounted."""
    return Child(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": meta.metadata(
                community, names.api(community.name), Component.API, community.service_account.annotations
            ),
            "automountServiceAccountToken": False,
        }
    )


def _deployment(
    community: Community,
    digests: wiring.Digests,
    *,
    name: str,
    tier: str,
    resources: Resources,
    place: Manifest,
) -> Manifest:
    secrets = wiring.api_values(community)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta.metadata(community, name, Component.API),
        "spec": {
            "selector": {"matchLabels": meta.selector(community, Component.API) | {names.LABEL_TIER: tier}},
            **ROLLOUT,
            "template": template.overlaid(
                {
                    "metadata": {
                        "labels": meta.labels(community, Component.API, **{names.LABEL_TIER: tier}),
                        "annotations": {names.ANNOTATION_SECRETS: checksum(secrets, digests)},
                    },
                    "spec": pod.spec(
                        pod.API_USER,
                        [_container(community, resources)],
                        _volumes(community),
                        serviceAccountName=names.api(community.name),
                        tolerations=placement.tolerations(community, spot=tier == "burst"),
                        terminationGracePeriodSeconds=community.api.drain_seconds + names.ENDING_SECONDS,
                        **place,
                        **placement.spread(community, Component.API, tier),
                    ),
                },
                community.api.pod_template,
            ),
        },
    }


def _container(community: Community, resources: Resources) -> Manifest:
    pre_stop, closing = drain(community)
    listen = ["--host", "0.0.0.0", "--port", str(wiring.HTTP_PORT)]  # noqa: S104 - a pod's own address
    return {
        "name": CONTAINER,
        "image": community.image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["serve", *listen, "--drain-seconds", str(closing)],
        "env": wiring.api_env(community),
        "ports": [
            {"name": "http", "containerPort": wiring.HTTP_PORT, "protocol": "TCP"},
            {"name": "admin", "containerPort": wiring.ADMIN_PORT, "protocol": "TCP"},
        ],
        **pod.probes(),
        "lifecycle": {"preStop": {"sleep": {"seconds": pre_stop}}},
        "resources": pod.resources(resources),
        "securityContext": pod.container_security(),
        # Not the last lines of the log: somebody who may read a pod's status may not be allowed to read logs.
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            {"name": "signing-key", "mountPath": wiring.KEY_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
            *tls.mounts(community),
        ],
    }


def _volumes(community: Community) -> list[Manifest]:
    key = wiring.signing_key(community)
    return [
        pod.secret_file("signing-key", key.name, key.key, wiring.KEY_FILE),
        pod.tmp(),
        *tls.volumes(community),
    ]
