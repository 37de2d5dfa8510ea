"""What all pods have in common: the `restricted` Pod Security level and no credentials they do not need."""

from __future__ import annotations

from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import Resources

#: User of our own images.
API_USER = 65532
#: User of the MySQL and Redis images.
STORE_USER = 999
#: Seconds from the deletion of a job's pod until the kubelet kills it. Pods of the API and of the stores have their own.
GRACE_SECONDS = 25


def security(user: int) -> Manifest:
    """Return a pod security context; the volumes of the pod belong to the same number."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        # Without this, every start walks the whole volume to change owners.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Manifest:
    """Return a container security context: no privilege, no capability, no write outside of mounted volumes."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }


def spec(user: int, containers: list[Manifest], volumes: list[Manifest], **more: object) -> Manifest:
    """Return a pod spec without an API token; `more` replaces what is common, such as the grace.

    Service links are off: they would inject BAPSANG_… variables for a Service of that name, and the API refuses
    variables it does not know.
    """
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security(user),
        "containers": containers,
        "volumes": volumes,
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        **more,
    }


def resources(value: Resources) -> Manifest:
    """Return the `resources` of a container."""
    return {"requests": dict(value.requests), "limits": dict(value.limits)}


def scratch(name: str, size: str) -> Manifest:
    """Return a volume on the node's disk for temporary files, limited to `size`. Cluster Autoscaler removes no node with
    such a pod."""
    return {"name": name, "emptyDir": {"sizeLimit": size}}


def tmp() -> Manifest:
    """Return the volume `tmp` of our own image, in memory: on disk it would keep Cluster Autoscaler from removing the node.

    Files in it count against the container's memory limit and stay until they are deleted. The image writes none; what a
    library may put there is small, and the kubelet bounds the file system to its size, so that it ends as an error of that
    write instead of the eviction that a full volume on disk ends in.
    """
    return {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}}


def probes(*, startup: str = "/readyz") -> Manifest:
    """Return the probes of a process of our own image that lasts. `startup`: the path that has to answer within a minute."""
    return {
        "startupProbe": _probe(startup, period=1, failures=60),
        "readinessProbe": _probe("/readyz", period=2, failures=2),
        "livenessProbe": _probe("/livez", period=10, failures=3),
    }


def _probe(path: str, *, period: int, failures: int) -> Manifest:
    return {
        "httpGet": {"path": path, "port": "admin", "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }


def secret_env(variable: str, secret: str, key: str) -> Manifest:
    """Return an environment variable that is read from a Secret."""
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def secret_file(name: str, secret: str, key: str, path: str) -> Manifest:
    """Return a volume that holds one key of a Secret as the file `path`."""
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440, "items": [{"key": key, "path": path}]}}
