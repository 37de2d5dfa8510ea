"""A real controller and a real data plane behind a Gateway: Contour and Envoy, the images of the local cluster, answer for the
route that the operator makes, and users reach what is behind the Service by it.

No node runs here, so the pods of the API are another Envoy that answers every request by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from tests.integration.conftest import running_container
from tests.waiting import eventually

from bapsang_local.engine import Engine
from bapsang_local.settings import LOCAL, parts
from bapsang_operator.build.wiring import HTTP_PORT
from bapsang_operator.kinds import Kind

from .client import Client, install_crd, remove_crd
from .controlplane import ControlPlane, free_port
from .namespace import Namespace
from .process import Operator

GATEWAY = Kind("Gateway", "gateway.networking.k8s.io", "v1", "gateways")
CLASS = Kind("GatewayClass", "gateway.networking.k8s.io", "v1", "gatewayclasses")
SLICE = Kind("EndpointSlice", "discovery.k8s.io", "v1", "endpointslices")
KINDS = ("gatewayclasses", "gateways", "referencegrants")
#: Contour serves a listener on another port of its own, because it runs without the right to open low ones.
OFFSET = 8000
#: Not read here, or of another channel.
FEATURES = ("extensionservices", "tlsroutes", "grpcroutes", "tcproutes", "backendtlspolicies")


def image(name: str) -> str:
    """Return the image of the local cluster whose name ends so."""
    return next(str(one["name"]) for one in parts()["image"] if one["name"].rpartition(":")[0].endswith(name))


@dataclass
class Site:
    """The address that users are sent to."""

    namespace: Namespace
    port: int

    def get(self, host: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}/", headers={"host": host, **headers}, timeout=10)

    def answers(self, host: str) -> int:
        """Return the status of an answer; 0 when there is none."""
        try:
            return self.get(host).status_code
        except httpx.TransportError:
            return 0  # the listener comes a moment later


@pytest.fixture(scope="module")
def pods(engine: Engine) -> Iterator[str]:
    """The address of what answers in the place of the API's pods, with what it was told of the client; one path is slow."""
    told = {"text_format_source": {"inline_string": "for=%REQ(X-FORWARDED-FOR)%"}}
    answer = {"status": 200, "body": {"inline_string": "x"}}
    slow = {"delay": {"fixed_delay": "3s", "percentage": {"numerator": 100}}}
    fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "pods",
        "use_remote_address": False,
        "local_reply_config": {"body_format": told},
        "http_filters": [
            {
                "name": "fault",
                "typed_config": {"@type": fault, **slow, "headers": [{"name": "slow", "present_match": True}]},
            },
            {"name": "router", "typed_config": {"@type": router}},
        ],
        "route_config": {
            "virtual_hosts": [
                {"name": "a", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": answer}]}
            ]
        },
    }
    listener = {
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": HTTP_PORT}},  # noqa: S104 - of a container
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    config = {"static_resources": {"listeners": [listener]}}
    with running_container(
        engine, "--entrypoint", "envoy", image("/envoy"), "--config-yaml", json.dumps(config)
    ) as name:
        networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        yield engine.docker("container", "inspect", "--format", networks, name).strip()


@pytest.fixture(scope="module")
def site(
    engine: Engine,
    client: Client,
    control_plane: ControlPlane,
    gateway_api: None,
    routes_crd: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    """A Gateway that Contour and Envoy serve."""
    folder = tmp_path_factory.mktemp("contour")
    definitions = [routes_crd.with_name(f"gateway.networking.k8s.io_{kind}.yaml") for kind in KINDS]
    for number, one in enumerate(yaml.safe_load_all((LOCAL / "addons/crds/contour.yaml").read_text())):
        definitions.append(folder / f"{number}.yaml")
        definitions[-1].write_text(yaml.safe_dump(one))
    for file in definitions:
        install_crd(client, file)
    infra = Namespace(client)
    of_contour = {"controllerName": "projectcontour.io/gateway-controller"}
    made = {
        "apiVersion": CLASS.api_version,
        "kind": "GatewayClass",
        "metadata": {"name": "contour"},
        "spec": of_contour,
    }
    Client._ok(client.create(CLASS, made))
    port = next(port for _ in range(100) if (port := free_port()) > OFFSET + 1023)
    listener = {
        "name": "http",
        "protocol": "HTTP",
        "port": port - OFFSET,
        "allowedRoutes": {"namespaces": {"from": "All"}},
    }
    spec = {"gatewayClassName": "contour", "listeners": [listener]}
    gateway = {"apiVersion": GATEWAY.api_version, "kind": "Gateway", "spec": spec}
    gateway["metadata"] = {"name": "public", "namespace": infra.name}
    Client._ok(client.create(GATEWAY, gateway))
    config = folder / "contour.yaml"
    config.write_text(yaml.safe_dump({"gateway": {"gatewayRef": {"name": "public", "namespace": infra.name}}}))
    xds, local = free_port(), "127.0.0.1"
    contour: list[Any] = ["serve", f"--kubeconfig={control_plane.admin}", f"--config-path={config}", "--insecure"]
    contour += [f"--xds-address={local}", f"--xds-port={xds}", "--disable-leader-election"]
    contour += [f"--envoy-service-http-address={local}", f"--stats-address={local}", f"--stats-port={free_port()}"]
    for server in ("http", "health", "debug-http"):
        contour += [f"--{server}-address={local}", f"--{server}-port={free_port()}"]
    contour += [f"--disable-feature={feature}" for feature in FEATURES]
    contour += ["--ingress-class-name=nobodys"]  # so that what is answered is answered by the route
    shared = ("--network", "host", "--user", "0:0", "--volume", f"{folder}:{folder}")
    kubeconfig = ("--volume", f"{control_plane.admin.parent}:{control_plane.admin.parent}:ro")
    own = ("--entrypoint", "/bin/contour", image("/contour"))
    bootstrap = folder / "envoy.json"
    engine.docker(
        *("run", "--rm", *shared, *own, "bootstrap", bootstrap, f"--xds-address={local}", f"--xds-port={xds}"),
        f"--admin-address={folder}/admin.sock",
    )
    envoy = ("--entrypoint", "envoy", image("/envoy"), "--config-path", bootstrap, "--use-dynamic-base-id")
    with (
        running_container(engine, *shared, *kubeconfig, *own, *contour),
        running_container(engine, *shared, *envoy, "--service-cluster", "a", "--service-node", "b"),
    ):
        yield Site(infra, port)
    for file in definitions:
        remove_crd(client, yaml.safe_load(file.read_text())["metadata"]["name"])


def serve(namespace: Namespace, address: str) -> None:
    """Write the endpoints of the API's Service, as Kubernetes does for its pods."""
    labels = {"kubernetes.io/service-name": "c-api"}
    slices = {
        "metadata": {"name": "c-api-1", "namespace": namespace.name, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": HTTP_PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    Client._ok(namespace.client.create(SLICE, slices))


def test_users_reach_the_api_by_a_route_that_a_real_controller_has_accepted(
    up: Namespace, operator: Operator, site: Site, pods: str
) -> None:
    serve(up, pods)
    host = f"c.{up.name}.localhost"
    ref = {"name": "public", "namespace": site.namespace.name, "sectionName": "nowhere"}
    up.patch("Community", "c", {"spec": {"gateway": {"parentRefs": [ref], "scheme": "http"}}})
    up.wait_for("Degraded", "True", "RouteNotAccepted", saying=("NoMatchingParent",))
    assert up.get("Ingress", "c-api"), "a listener that does not exist takes nobody's way in away"
    assert site.answers(host) != 200
    ref["sectionName"] = "http"
    up.patch("Community", "c", {"spec": {"gateway": {"parentRefs": [ref], "requestTimeoutSeconds": 1}}})
    up.wait_for("Degraded", "False")
    eventually(lambda: up.get("Ingress", "c-api") is None, what="the Ingress has gone")
    up.wait_for("Ready", "True")
    eventually(lambda: site.answers(host) == 200, what="an answer by the route")
    # One hop, as spec.api.trustedHops has it by default: the Gateway adds one entry to what the client says.
    first, *more = site.get(host, **{"x-forwarded-for": "192.0.2.7"}).text.removeprefix("for=").split(",")
    assert (first, len(more)) == ("192.0.2.7", 1)
    assert site.get(host, slow="yes").status_code == 504, "the time-out is that of the spec"
    assert site.get("other.example.com").status_code == 404
    up.patch("Community", "c", {"spec": {"gateway": None}})
    eventually(lambda: site.answers(host) != 200, what="nothing is left of the route")
