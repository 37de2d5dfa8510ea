"""The metrics APIs that the autoscaler's controller asks, behind the apiserver's aggregation layer: usage of pods, and KEDA's."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.waiting import eventually

from bapsang_operator.kinds import Kind

from .client import Client

API_SERVICES = Kind("APIService", "apiregistration.k8s.io", "v1", "apiservices")
SERVICES = Kind("Service", "", "v1", "services")
#: Group, what its resources are called, and their kind.
GROUPS = {"metrics.k8s.io": ("pods", "PodMetrics"), "external.metrics.k8s.io": ("offered", "ExternalMetricValueList")}
VERSION = "v1beta1"


@dataclass(frozen=True)
class Source:
    """What is measured in one namespace: CPU of a container in millicores by pod, and the value of the one external metric."""

    cpu: Callable[[], dict[str, float]] = dict
    offered: Callable[[], float] = lambda: 0.0
    container: str = "api"


class Metrics:
    """Answers what the sources of the namespaces say."""

    def __init__(self) -> None:
        self.of: dict[str, Source] = {}

    def answer(self, path: str) -> dict[str, Any] | None:
        parts = path.strip("/").split("/")
        if parts[0] != "apis" or len(parts) < 3 or parts[1] not in GROUPS:
            return None
        group = parts[1]
        if len(parts) == 3:
            return _resources(group)
        if len(parts) != 6:
            return None
        source = self.of.get(parts[4], Source())
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if group == "external.metrics.k8s.io":
            value = {"metricName": "offered", "timestamp": now, "value": f"{round(1000 * source.offered())}m"}
            return _list(group, "ExternalMetricValueList", [value])
        items = [
            {
                "metadata": {"name": name, "namespace": parts[4]},
                "timestamp": now,
                "window": "1s",
                "containers": [{"name": source.container, "usage": {"cpu": f"{round(used)}m", "memory": "100Mi"}}],
            }
            for name, used in source.cpu().items()
        ]
        return _list(group, "PodMetricsList", items)


def _resources(group: str) -> dict[str, Any]:
    name, kind = GROUPS[group]
    resource = {"name": name, "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "list"]}
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{VERSION}",
        "resources": [resource],
    }


def _list(group: str, kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"kind": kind, "apiVersion": f"{group}/{VERSION}", "metadata": {}, "items": items}


@contextlib.contextmanager
def served(client: Client, namespace: str, metrics: Metrics, certificate: tuple[Path, Path]) -> Iterator[None]:
    """Serve both APIs through the apiserver for a while."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = metrics.answer(urlsplit(self.path).path)
            body = json.dumps(answer).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "metrics", "namespace": namespace},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }
    assert client.create(SERVICES, service).is_success
    try:
        for group in GROUPS:
            reference = {"name": "metrics", "namespace": namespace, "port": server.server_port}
            spec = {"group": group, "version": VERSION, "service": reference, "insecureSkipTLSVerify": True}
            spec |= {"groupPriorityMinimum": 100, "versionPriority": 100}
            answer = client.create(API_SERVICES, {"metadata": {"name": f"{VERSION}.{group}"}, "spec": spec})
            assert answer.is_success, answer.text
        for group in GROUPS:
            eventually(lambda group=group: _is_available(client, group), 30, f"{group} is served")  # type: ignore[misc]
        yield
    finally:
        for group in GROUPS:
            client.delete_if_there(API_SERVICES, None, f"{VERSION}.{group}")
        server.shutdown()
        thread.join()
        server.server_close()


def _is_available(client: Client, group: str) -> bool:
    found = client.get(API_SERVICES, None, f"{VERSION}.{group}") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(one["type"] == "Available" and one["status"] == "True" for one in conditions)
