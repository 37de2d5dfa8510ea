"""The page in `web/`, served through the ingress at the community's own origin, and the browser that opens it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from bapsang_local import browser
from bapsang_local.cluster import Cluster
from bapsang_local.settings import HOST

WEB = Path(__file__).parent / "web"
# Nothing but the page under test is loaded, and nothing is looked for on the network.
QUIET = ("--disable-gpu", "--disable-quic", "--disable-component-update", "--disable-sync", "--no-proxy-server")


@contextmanager
def serving_web(cluster: Cluster, namespace: str, image: str) -> Iterator[str]:
    """Serve `web/` below the path `/{namespace}/` of the community's host from a pod of its own; yields that path.

    An Ingress of another namespace may add paths to the host, as the one of the local S3 server does. The page then has
    the origin of the API, as the client of a community has: no CORS, and the cookie is the site's own.
    """
    named = {"name": "web", "namespace": namespace}
    files = {path.name: path.read_text() for path in WEB.iterdir()}
    container = {
        "name": "web",
        "image": image,
        "command": ["python", "-m", "http.server", "8080", "--directory", "/www"],
        "readinessProbe": {"httpGet": {"path": f"/{namespace}/", "port": 8080}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "files", "mountPath": f"/www/{namespace}"}],
    }
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "files", "configMap": {"name": "web"}}],
    }
    backend = {"service": {"name": "web", "port": {"number": 8080}}}
    path = {"path": f"/{namespace}", "pathType": "Prefix", "backend": backend}
    rules = [{"host": HOST, "http": {"paths": [path]}}]
    enforced = {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": enforced},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": files},
        {"apiVersion": "v1", "kind": "Pod", "metadata": {**named, "labels": {"app": "web"}}, "spec": pod},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": named,
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 8080}]},
        },
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": named,
            "spec": {"ingressClassName": "contour", "rules": rules},
        },
    ]
    try:
        for one in objects:
            cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(one).encode())
        cluster.kubectl("wait", "pod/web", "-n", namespace, "--for=condition=Ready", "--timeout=90s")
        yield f"/{namespace}/"
    finally:
        cluster.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


@contextmanager
def browsing() -> Iterator[Browser]:
    """Run a Chromium with an empty profile of its own."""
    program = browser.find()
    if program is None:
        pytest.fail("There is no Chromium: run `make browser`.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, headless=True, args=[*QUIET])
        try:
            yield opened
        finally:
            opened.close()
