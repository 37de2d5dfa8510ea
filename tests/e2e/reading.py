"""Reads objects of the cluster from this process: who waits looks often, and a kubectl costs a tenth of a second of CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from bapsang_local.failure import Failure
from bapsang_operator.cluster import credentials
from bapsang_operator.kinds import BY_NAME, Kind

_MORE = (
    Kind("Namespace", "", "v1", "namespaces"),
    Kind("ConfigMap", "", "v1", "configmaps"),
    Kind("PersistentVolume", "", "v1", "persistentvolumes"),
    Kind("ReplicaSet", "apps", "v1", "replicasets"),
    Kind("DaemonSet", "apps", "v1", "daemonsets"),
    Kind("Node", "", "v1", "nodes"),
)
_SHORT = {"hpa": "HorizontalPodAutoscaler", "pdb": "PodDisruptionBudget"}
#: As kubectl knows them: plural, singular, and the short names that the tests use.
_KINDS = {name: kind for kind in (*BY_NAME.values(), *_MORE) for name in (kind.plural, kind.name.lower())}
_KINDS |= {short: BY_NAME[name] for short, name in _SHORT.items()}


class Reader:
    """Plain requests to an apiserver. Raises Failure, as the tool's kubectl does."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        """Return one object."""
        return self._read(_KINDS[kind].path(namespace, name))

    def items(self, kinds: str, namespace: str | None = None, *, labels: str = "", fields: str = "") -> list[Any]:
        """Return all objects of these kinds (`pods,jobs`) that both selectors choose."""
        selectors = {"labelSelector": labels, "fieldSelector": fields}
        found: list[Any] = []
        for kind in (_KINDS[name] for name in kinds.split(",")):
            listed = self._read(kind.path(namespace), **{key: value for key, value in selectors.items() if value})
            # Items of a list do not say what they are.
            found += [{"kind": kind.name, "apiVersion": kind.api_version, **item} for item in listed["items"]]
        return found

    def evict(self, pod: str, namespace: str) -> bool:
        """Evict a pod, the one write that tests repeat until it works; False when its budget forbids it now."""
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": namespace}}
        try:
            answer = self._http.post(f"{BY_NAME['Pod'].path(namespace, pod)}/eviction", json=body)
        except httpx.HTTPError as error:
            raise Failure(f"eviction of {pod}: {error!r}") from error
        if answer.is_success or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
            return answer.is_success
        raise Failure(f"eviction of {pod}: {answer.status_code} {answer.text[:300]}")

    def _read(self, path: str, **query: str) -> dict[str, Any]:
        try:
            answer = self._http.get(path, params=query)
        except httpx.HTTPError as error:
            raise Failure(f"GET {path}: {error!r}") from error
        if not answer.is_success:
            raise Failure(f"GET {path}: {answer.status_code} {answer.text[:300]}")
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def reading(kubeconfig: Path) -> Iterator[Reader]:
    """Open a Reader with the rights of a kubeconfig."""
    found = credentials.from_kubeconfig(kubeconfig)
    headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
    with httpx.Client(base_url=found.server, verify=found.tls, headers=headers, timeout=30) as http:
        yield Reader(http)
