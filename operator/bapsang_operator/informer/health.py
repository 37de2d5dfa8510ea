"""The operator's own liveness check, and its admin port: /livez, /readyz, /metrics.

kopf's own probe stays OK while its watches are dead. This one fails when the event loop crawls, a watch has not been
opened for too long, or a worker is stuck; the kubelet then restarts the operator, which loses nothing.
"""

from __future__ import annotations

import asyncio
import sys
import urllib.request
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Final

import aiohttp
from aiohttp import web

from bapsang_operator.kinds import Kind
from bapsang_operator.metrics import Metrics

#: Seconds after which the apiserver ends a watch, which is then opened again.
WATCH_SECONDS: Final = 300
#: A watch that is silent for this many seconds (no bookmark even) is opened again.
SILENCE_SECONDS: Final = 70
#: No watch opened for this long means that its task is dead.
STALE_SECONDS: Final = WATCH_SECONDS + SILENCE_SECONDS + 60
#: All kinds must have been listed this many seconds after the start.
START_SECONDS: Final = 120
LAG_SECONDS: Final = 5.0
#: Above the longest pass of the reconciler.
STUCK_SECONDS: Final = 120.0
_TICK: Final = 1.0


def check(url: str) -> int:
    """Print what a running operator says of itself; 0 when it is alive and ready."""
    code = 0
    for path in ("/livez", "/readyz"):
        try:
            with urllib.request.urlopen(f"{url.rstrip('/')}{path}", timeout=10) as answer:  # noqa: S310 - the user's own
                text = answer.read().decode().strip()
        except (OSError, ValueError) as error:
            text, code = str(error), 1
        sys.stdout.write(f"{path}: {text}\n")
    return code


class Health:
    """Collects signs of life. `stuck_for` tells how long the oldest piece of work has been running.

    A scope is a watched namespace, or None for the whole cluster. Each has a watch for each kind, and each of these
    counts by itself: by kind alone, the watches of one namespace would hide that those of another are dead.
    """

    def __init__(
        self,
        kinds: Iterable[Kind],
        metrics: Metrics,
        stuck_for: Callable[[], float],
        clock: Callable[[], float],
        namespaces: Iterable[str] = (),
    ) -> None:
        self._plurals = {kind.plural: kind.name for kind in kinds}
        self._metrics = metrics
        self._stuck_for = stuck_for
        self._clock = clock
        scopes: list[str | None] = [*namespaces] or [None]
        #: When the listing of a scope began; without those that the apiserver refuses, which ail nobody else.
        self._since = dict.fromkeys(scopes, clock())
        self._refusals = {scope: asyncio.Event() for scope in scopes}
        self._opened: dict[tuple[str, str | None], float] = {}
        self._lag = 0.0
        #: Set when a kind was listed by its watch: between what was known before and this list there was a gap.
        self.listed_again = asyncio.Event()

    def trace(self) -> aiohttp.TraceConfig:
        """Return hooks for the session of the watches: each list or watch that is answered is a sign of life."""
        config = aiohttp.TraceConfig()

        async def answered(
            _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
        ) -> None:
            plural, scope = _place(params.url.path)
            if params.response.status == 200:
                self.opened(plural, scope, is_list="watch" not in params.url.query)
            elif params.response.status in {403, 404} and scope is not None and scope in self._refusals:
                self._refusals[scope].set()

        config.on_request_end.append(answered)
        return config

    def opened(self, plural: str, scope: str | None = None, *, is_list: bool = False) -> None:
        """Note that the list or watch of a kind in a scope was answered."""
        if plural not in self._plurals:
            return
        if is_list:
            self.listed_again.set()
        self._opened[plural, scope] = self._clock()

    def expect(self, scope: str | None) -> None:
        """Expect watches in a scope from now on."""
        self._refusals[scope].clear()
        self.excuse(scope)
        self._since[scope] = self._clock()

    def excuse(self, scope: str | None) -> None:
        """Expect no watches in a scope, which the apiserver refuses."""
        self._since.pop(scope, None)
        for plural in self._plurals:
            self._opened.pop((plural, scope), None)

    async def refusal(self, scope: str | None) -> None:
        """Wait until the apiserver refuses a list or watch of a namespace. Never returns for the whole cluster, beside
        which there is no other scope: there, each watch tries again by itself."""
        await self._refusals[scope].wait()

    @property
    def refused(self) -> list[str]:
        """The watched namespaces that the apiserver refuses."""
        return [scope for scope in self._refusals if scope is not None and scope not in self._since]

    @property
    def is_ready(self) -> bool:
        """Whether every kind has been listed, wherever the apiserver allows it."""
        wanted = {(plural, scope) for plural in self._plurals for scope in self._since}
        return bool(wanted) and wanted <= self._opened.keys()

    def ailments(self) -> list[str]:
        """Return what is wrong; empty when the process should live on."""
        now = self._clock()
        found = []
        if self._lag > LAG_SECONDS:
            found.append(f"the event loop is {self._lag:.1f} s late")
        if self._stuck_for() > STUCK_SECONDS:
            found.append(f"a worker has been busy for {self._stuck_for():.0f} s")
        for scope, began in self._since.items():
            where = "" if scope is None else f" in namespace {scope}"
            for plural, kind in self._plurals.items():
                since = self._opened.get((plural, scope))
                if since is None and now - began > START_SECONDS:
                    found.append(f"{kind} has not been listed{where} {now - began:.0f} s after the start")
                elif since is not None and now - since > STALE_SECONDS:
                    found.append(f"the watch of {kind}{where} was last opened {now - since:.0f} s ago")
        return found

    async def measure(self) -> None:
        """Measure for ever how late the event loop is."""
        while True:
            before = self._clock()
            await asyncio.sleep(_TICK)
            self._lag = max(0.0, self._clock() - before - _TICK)
            self._metrics.loop_lag.set(self._lag)

    def application(self, refresh: Callable[[], None]) -> web.Application:
        """Return the admin port's application; `refresh` brings gauges up to date before a scrape."""

        async def livez(_request: web.Request) -> web.Response:
            ailments = self.ailments()
            return web.Response(status=500 if ailments else 200, text="\n".join(ailments or ["ok"]) + "\n")

        async def readyz(_request: web.Request) -> web.Response:
            lines = [f"the apiserver refuses namespace {scope}" for scope in self.refused]
            if self.is_ready:
                return web.Response(text="\n".join(["ok", *lines]) + "\n")
            lines.append("not every kind has been listed yet")
            return web.Response(status=503, text="\n".join(lines) + "\n")

        async def metrics(_request: web.Request) -> web.Response:
            refresh()
            self._metrics.refused_namespaces.set(len(self.refused))
            oldest: dict[str, float] = {}
            for (plural, _), since in self._opened.items():
                oldest[plural] = min(since, oldest.get(plural, since))
            for plural, since in oldest.items():
                self._metrics.watch_age.labels(self._plurals[plural]).set(self._clock() - since)
            return web.Response(
                body=self._metrics.exposition(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            )

        application = web.Application()
        application.add_routes([web.get("/livez", livez), web.get("/readyz", readyz), web.get("/metrics", metrics)])
        return application


def _place(path: str) -> tuple[str, str | None]:
    """Return the plural and the namespace of a collection's URL path."""
    *front, plural = path.split("/")
    return plural, front[-1] if front[-2:-1] == ["namespaces"] else None
