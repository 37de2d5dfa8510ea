"""The pages in `web/`, at the community's own origin or at that of a web client in development, and the browser that opens them."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from bapsang_local import browser
from bapsang_local.cluster import Cluster
from bapsang_local.settings import HOST

#: A port of `s3.DEVELOPMENT_ORIGINS`: no other origin may upload.
DEVELOPMENT_PORT = 3000
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


class _Pages(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_in_development() -> Iterator[str]:
    """Serve `web/` as a web client's own server does while it is being worked on; yields the origin."""
    pages = functools.partial(_Pages, directory=WEB)
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", DEVELOPMENT_PORT), pages)
    except OSError as error:
        pytest.fail(f"Port {DEVELOPMENT_PORT} of 127.0.0.1, whose origin may upload, is taken: {error}")
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://localhost:{DEVELOPMENT_PORT}"
        finally:
            server.shutdown()


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
