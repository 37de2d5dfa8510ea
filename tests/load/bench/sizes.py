"""What answers weigh on the wire, by what clients say that they take, and what compressing costs. As the processes export it."""

from __future__ import annotations

import http.client
from collections import Counter
from dataclasses import replace
from typing import Any

from . import processes, scenario
from .tables import show
from .world import Options, World

#: Of programs, of older clients, and of browsers (Chrome 123 and Firefox 126 onwards).
ENCODINGS = {"none": "identity", "gzip": "gzip, deflate", "browsers": "gzip, deflate, br, zstd"}
_BYTES, _COUNT = "bapsang_http_response_bytes_total", "bapsang_http_requests_total"


def measure(world: World, options: Options) -> dict[str, Any]:
    """Send the mix in a closed loop by each; bytes are those of bodies, `header_bytes` what a detail has besides."""
    found: dict[str, Any] = {}
    for name, accepted in ENCODINGS.items():
        requests = [
            (replace(request, headers={**request.headers, "Accept-Encoding": accepted}), share)
            for request, share in scenario.mix()
        ]
        before = exported(world)
        sent = scenario.closed(requests, connections=options.connections, seconds=options.step_seconds / 2)
        run, usage = world.send(sent)
        more = exported(world)
        more.subtract(before)
        routes = sorted({route for kind, route in more if kind == _COUNT and more[kind, route]})
        count = sum(more[_COUNT, route] for route in routes)
        found[name] = {
            "body_bytes": round(sum(more[_BYTES, route] for route in routes) / count),
            "api_us": round(usage.micros(run.sent)["api"]),
            "errors": run.outcome().errors,
            "routes": {route: round(more[_BYTES, route] / more[_COUNT, route]) for route in routes},
        }
    found["header_bytes"] = _header_bytes(world)
    kinds = [found[name] for name in ENCODINGS]
    rows = [[route, *[kind["routes"].get(route) for kind in kinds]] for route in kinds[0]["routes"]]
    rows += [
        ["all", *[kind["body_bytes"] for kind in kinds]],
        ["API µs a request", *[kind["api_us"] for kind in kinds]],
    ]
    show(f"bytes of a body, with {found['header_bytes']} of headers besides", ["", *ENCODINGS], rows)
    return found


def exported(world: World) -> Counter[tuple[str, str]]:
    """Return bytes and requests of all processes since they began, by name and route."""
    found: Counter[tuple[str, str]] = Counter()
    for admin in world.api.admin:
        for line in processes.fetch(f"{admin}/metrics").decode().splitlines():
            name, _, rest = line.partition("{")
            if name in (_BYTES, _COUNT):
                labels, _, value = rest.rpartition("} ")
                given = dict(label.split("=", 1) for label in labels.split(","))
                found[name, f"{given['method']} {given['route']}".replace('"', "")] += round(float(value))
    return found


def _header_bytes(world: World) -> int:
    host, _, port = world.api.targets[0].partition(":")
    client = http.client.HTTPConnection(host, int(port), timeout=30)
    client.request("GET", f"{scenario.API}/posts?size=20", headers=scenario.BROWSER)
    answer = client.getresponse()
    answer.read()
    client.close()
    return sum(len(f"{name}: {value}\r\n") for name, value in answer.getheaders()) + len("HTTP/1.1 200 OK\r\n\r\n")
