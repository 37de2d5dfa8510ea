"""A proxy in front of the apiserver that spoils one chosen request about a Community, and passes all others."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
import yaml
from aiohttp import web

from bapsang_operator.cluster import credentials, fence

_PASSED = ("Content-Type", "Accept", "Authorization", "User-Agent")
#: What may happen to a request. `lost` reaches the apiserver, but its answer never reaches the operator in time;
#: `cut` is an answer that ends half-way.
STATUSES = {"409": 409, "410": 410, "429": 429, "500": 500, "503": 503}
ANSWERS = (*STATUSES, "lost", "cut")
KILLS = ("kill before", "kill after")


@dataclass
class Fault:
    """What is done to the `index`th request about a Community's namespace, counted from 0; `kill` ends the operator."""

    namespace: str
    index: int
    what: str
    kill: Callable[[], None] = lambda: None
    happened: bool = False


@dataclass
class Proxy:
    """Runs in a thread of its own for the time of a `with` block.

    `calls` are the requests that were counted, as method and path, by namespace; `broken` counts the requests that failed
    since `break_watches`, by what was done to them.
    """

    upstream: Path
    faults: dict[str, Fault] = field(default_factory=dict)  # by namespace
    calls: dict[str, list[str]] = field(default_factory=dict)
    url: str = ""
    broken: Counter[str] = field(default_factory=Counter)
    _troubles: tuple[str, ...] = ()
    _troubled: dict[str, str] = field(default_factory=dict)  # by path
    _watches: set[asyncio.Transport] = field(default_factory=set)

    def break_watches(self, *what: str) -> None:
        """Cut all watches and, until called with nothing, answer each list and watch of the informers with a status
        ("500"), or each watch with an event of that status ("error 500"). Of several, each kind meets one, in turn."""
        self.broken, self._troubles, self._troubled = Counter(), what, {}
        self.cut_watches()

    def cut_watches(self) -> None:
        """Cut the connections of all watches."""
        self._loop.call_soon_threadsafe(lambda: [one.abort() for one in self._watches])

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    def kubeconfig(self, path: Path) -> Path:
        """Write the operator's kubeconfig with this proxy as its server."""
        config = yaml.safe_load(self.upstream.read_text())
        config["clusters"][0]["cluster"] = {"server": self.url}
        path.write_text(yaml.safe_dump(config))
        return path

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        access = credentials.from_kubeconfig(self.upstream)
        async with access.session(fence.trace(), "proxy") as self._session:
            application = web.Application()
            application.router.add_route("*", "/{path:.*}", self._pass)
            self._server = access.server
            # Cancelled with their client: a watch of a killed operator would stay open else.
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            await self._done.wait()
            await runner.cleanup()

    def _chosen(self, request: web.Request) -> Fault | None:
        parts = request.path.split("/")
        # Only the operator's own client names a timeout in its requests without watching.
        if "namespaces" not in parts or "leases" in parts or "timeout" not in request.query:
            return None
        namespace = parts[parts.index("namespaces") + 1]
        calls = self.calls.setdefault(namespace, [])
        calls.append(f"{request.method} {request.path}")
        fault = self.faults.get(namespace)
        if fault is None or fault.happened or len(calls) - 1 != fault.index:
            return None
        fault.happened = True
        return fault

    async def _pass(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self._troubles and "timeout" not in request.query and request.method == "GET":
            spoiled = self._trouble(request)
            if spoiled is not None:
                return spoiled
        fault = self._chosen(request)
        if fault is not None and fault.what in STATUSES:
            return _refusal(STATUSES[fault.what])
        if fault is not None and fault.what == "kill before":
            fault.kill()
            return web.Response(status=500)
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            data=body or None,
            headers={name: request.headers[name] for name in _PASSED if name in request.headers},
            timeout=aiohttp.ClientTimeout(total=None),
        ) as upstream:
            if fault is not None:
                return await self._spoiled(request, upstream, fault)
            if "watch" not in request.query:
                return await _stream(request, upstream)
            assert request.transport is not None
            self._watches.add(request.transport)
            try:
                return await _stream(request, upstream)
            finally:
                self._watches.discard(request.transport)

    def _trouble(self, request: web.Request) -> web.StreamResponse | None:
        what = self._troubled.setdefault(request.path, self._troubles[len(self._troubled) % len(self._troubles)])
        kind, _, status = what.rpartition(" ")
        if kind and "watch" not in request.query:
            return None
        self.broken[what] += 1
        if not kind:
            return _refusal(int(status))
        event = {
            "type": "ERROR",
            "object": {"kind": "Status", "status": "Failure", "code": int(status), "message": what},
        }
        return web.Response(text=json.dumps(event) + "\n", content_type="application/json")

    async def _spoiled(
        self, request: web.Request, upstream: aiohttp.ClientResponse, fault: Fault
    ) -> web.StreamResponse:
        whole = await upstream.read()
        if fault.what == "cut":
            return web.Response(status=upstream.status, body=whole[: len(whole) // 2], content_type="application/json")
        if fault.what == "kill after":
            fault.kill()
        # The answer is never given: the connection ends without one.
        assert request.transport is not None
        request.transport.abort()
        return web.Response(status=500)


async def _stream(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    answer = web.StreamResponse(status=upstream.status, headers={"Content-Type": upstream.content_type})
    await answer.prepare(request)
    try:
        async for piece in upstream.content.iter_any():
            await answer.write(piece)
    except (ConnectionError, aiohttp.ClientError):
        return answer
    await answer.write_eof()
    return answer


def _refusal(status: int) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "message": "injected", "reason": "Injected", "code": status}
    headers = {"Retry-After": "1"} if status == 429 else {}
    return web.Response(status=status, text=json.dumps(body), content_type="application/json", headers=headers)
