"""The pod network of nodes of a built image, which bring none: one bridge a node, routes between them."""

from __future__ import annotations

from typing import Any

from bapsang_local.docker import Engine
from bapsang_local.settings import LOCAL


def lay(engine: Engine, described: list[dict[str, Any]], pods: str, services: str) -> None:
    """Give each of the nodes `described` its pod network within the subnet `pods`. Repeatable, as addresses change."""
    addresses = {}
    for node in described:
        name = node["metadata"]["name"]
        addresses[name] = engine.docker(
            "container", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name
        ).strip()
    script = (LOCAL / "network.sh").read_bytes()
    for node in described:
        name = node["metadata"]["name"]
        routes = [
            f"{other['spec']['podCIDR']},{addresses[other['metadata']['name']]}"
            for other in described
            if other is not node
        ]
        engine.docker("exec", "-i", name, "sh", "-es", node["spec"]["podCIDR"], pods, services, *routes, input=script)
