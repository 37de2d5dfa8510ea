"""A client of the apiserver, and what it installs first: namespaces, the chart's rights, the CRD."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import yaml
from tests.waiting import eventually

from bapsang_operator.cluster import credentials
from bapsang_operator.kinds import Kind

from .controlplane import OPERATOR_NAMESPACE, OPERATOR_USER

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts/bapsang-operator"
CRD = CHART / "crds/communities.bapsang.dev.yaml"
Object = dict[str, Any]


class Client:
    """Plain requests to an apiserver."""

    def __init__(self, kubeconfig: Path) -> None:
        found = credentials.from_kubeconfig(kubeconfig)
        headers = {"Authorization": f"Bearer {found.token}"} if found.token else {}
        self._http = httpx.Client(base_url=found.server, verify=found.tls, headers=headers, timeout=30)

    def close(self) -> None:
        self._http.close()

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object | None:
        answer = self._http.get(kind.path(namespace, name))
        return None if answer.status_code == 404 else self._ok(answer)

    def list(self, kind: Kind, namespace: str) -> list[Object]:
        return [{**item, "kind": kind.name} for item in self._ok(self._http.get(kind.path(namespace)))["items"]]

    def list_at(self, kind: Kind, namespace: str) -> tuple[datetime, list[Object]]:
        """Return the objects, and when the apiserver answered by its own clock, in whole seconds."""
        answer = self._http.get(kind.path(namespace))
        return parsedate_to_datetime(answer.headers["Date"]), self._ok(answer)["items"]

    def create(self, kind: Kind, manifest: Object, **params: str) -> httpx.Response:
        return self._http.post(kind.path(manifest["metadata"].get("namespace")), json=manifest, params=params)

    def post(self, path: str, body: Object) -> httpx.Response:
        return self._http.post(path, json=body)

    def replace(self, kind: Kind, manifest: Object, **params: str) -> httpx.Response:
        metadata = manifest["metadata"]
        return self._http.put(kind.path(metadata["namespace"], metadata["name"]), json=manifest, params=params)

    def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Object, part: str = "", form: str = "merge"
    ) -> Object:
        """Patch as `kubectl patch` does; `form`: merge, or strategic-merge, which adds items to lists that have keys."""
        content = {"Content-Type": f"application/{form}-patch+json"}
        return self._ok(self._http.patch(kind.path(namespace, name) + part, content=json.dumps(patch), headers=content))

    def try_patch(
        self, kind: Kind, namespace: str, name: str, patch: Object, form: str, **params: str
    ) -> httpx.Response:
        """Patch and return whatever the apiserver answers."""
        content = {"Content-Type": f"application/{form}-patch+json"}
        return self._http.patch(kind.path(namespace, name), content=json.dumps(patch), headers=content, params=params)

    def openapi(self, group: str) -> Object:
        """Return the OpenAPI document of a group, such as `apis/apps/v1`."""
        return self._ok(self._http.get(f"/openapi/v3/{group}"))

    def delete(
        self, kind: Kind, namespace: str | None, name: str, propagation: str = "Background", **options: Any
    ) -> None:
        body = {"propagationPolicy": propagation, **options}
        self._ok(self._http.request("DELETE", kind.path(namespace, name), json=body))

    def delete_if_there(self, kind: Kind, namespace: str | None, name: str) -> None:
        answer = self._http.delete(kind.path(namespace, name))
        assert answer.is_success or answer.status_code == 404, answer.text

    def delete_all(self, kind: Kind, namespace: str, **params: str) -> None:
        """Delete all objects of a kind in a namespace."""
        self._ok(self._http.delete(kind.path(namespace), params=params))

    def raw(self, path: str) -> Object:
        return self._ok(self._http.get(path))

    @staticmethod
    def _ok(answer: httpx.Response) -> Object:
        assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.text}"
        found: Object = answer.json()
        return found


NAMESPACE = Kind("Namespace", "", "v1", "namespaces")
CRDS = Kind("CustomResourceDefinition", "apiextensions.k8s.io", "v1", "customresourcedefinitions")
RBAC = "rbac.authorization.k8s.io"
CLUSTER_ROLES = Kind("ClusterRole", RBAC, "v1", "clusterroles")
CLUSTER_BINDINGS = Kind("ClusterRoleBinding", RBAC, "v1", "clusterrolebindings")
ROLES = Kind("Role", RBAC, "v1", "roles")
BINDINGS = Kind("RoleBinding", RBAC, "v1", "rolebindings")


def rules(namespaced: bool = False, *, keda: bool = False, gateway: bool = False) -> list[Object]:
    """Return the chart's rules in namespaces with Communities, or the ones in the operator's own namespace."""
    if not namespaced:
        files = ["rules", "nodes", *(["keda"] if keda else []), *(["gateway"] if gateway else [])]
        return [rule for name in files for rule in yaml.safe_load((CHART / f"files/{name}.yaml").read_text())]
    text = re.sub(r"(?m)^\s*\{\{-.*\}\}\s*$", "", (CHART / "templates/role.yaml").read_text())
    role: Object = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))
    return list(role["rules"])


def grant(client: Client) -> None:
    """Give the operator's account exactly the rights of the chart with everything on, in a namespace of the operator's own."""
    answer = client.create(NAMESPACE, {"metadata": {"name": OPERATOR_NAMESPACE}})
    assert answer.is_success, answer.text
    bind(client, CLUSTER_ROLES, CLUSTER_BINDINGS, None, rules(keda=True, gateway=True))
    bind(client, ROLES, BINDINGS, OPERATOR_NAMESPACE, rules(namespaced=True))


def bind(
    client: Client, kind: Kind, binding: Kind, namespace: str | None, found: list[Object], user: str = OPERATOR_USER
) -> None:
    """Give a user rights, in one namespace or everywhere."""
    metadata = {"name": f"test-{secrets.token_hex(4)}", "namespace": namespace}
    reference = {"apiGroup": kind.group, "kind": kind.name, "name": metadata["name"]}
    subjects = [{"kind": "User", "apiGroup": kind.group, "name": user}]
    for one, manifest in (
        (kind, {"metadata": metadata, "rules": found}),
        (binding, {"metadata": metadata, "roleRef": reference, "subjects": subjects}),
    ):
        answer = client.create(one, manifest)
        assert answer.is_success, answer.text


def install_crd(client: Client, file: Path = CRD) -> None:
    """Create a CRD, the chart's by default, unless it is there, and wait until it is served."""
    crd = yaml.safe_load(file.read_text())
    answer = client.create(CRDS, crd)
    assert answer.status_code in {201, 409}, answer.text

    def is_served() -> bool:
        found = client.get(CRDS, None, crd["metadata"]["name"])
        conditions = (found or {}).get("status", {}).get("conditions") or []
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    eventually(is_served)


def remove_crd(client: Client, name: str) -> None:
    """Delete a CRD with all its objects, and wait until it is gone."""
    client.delete(CRDS, None, name)
    eventually(lambda: client.get(CRDS, None, name) is None, 60, f"{name} gone")


@contextlib.contextmanager
def client_of(kubeconfig: Path) -> Iterator[Client]:
    found = Client(kubeconfig)
    try:
        yield found
    finally:
        found.close()
