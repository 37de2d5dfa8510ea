"""The watches: kopf as an informer, and nothing else of it. Handlers only fill the store and enqueue Communities.

`on.event` handlers write nothing and need no finalizer, so a Community can be deleted while no operator runs.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Collection
from typing import Any, Final

import aiohttp
import kopf
from kopf._cogs.clients.watching import WatchingError
from kopf._cogs.structs.references import Insights, NamespaceName

from bapsang_operator import names
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.informer import news
from bapsang_operator.informer.health import SILENCE_SECONDS, WATCH_SECONDS
from bapsang_operator.informer.queue import Patience
from bapsang_operator.informer.store import CommunityKey, Store, community_of
from bapsang_operator.kinds import COMMUNITY, WATCHED, Kind
from bapsang_operator.manifest import key_of

_log = logging.getLogger(__name__)
#: Asks for a Community to be reconciled, within some seconds.
Enqueue = Callable[[CommunityKey, float], None]
#: Seconds that kopf's tasks may take to end.
_END_SECONDS: Final = 5.0


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps kopf from copying and comparing every object that it is told of, for handlers that do not exist."""

    def build(self, **_: Any) -> Any:
        return None

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        raise NotImplementedError


class WatchesEndedError(Exception):
    """Something is not watched any more; the message says what."""


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no peering, no scanning, nothing posted, watches that heal."""
    found = kopf.OperatorSettings()
    found.peering.standalone = True
    found.scanning.disabled = True
    found.posting.enabled = False
    found.posting.loggers = False
    found.watching.server_timeout = WATCH_SECONDS
    found.watching.client_timeout = WATCH_SECONDS + 30
    found.watching.inactivity_timeout = SILENCE_SECONDS
    found.watching.connect_timeout = 10
    found.watching.reconnect_backoff = 1.0
    # All kinds are listed at once, and an object takes ten times its bytes while it is read.
    found.watching.chunk_size = 100
    # For so long a worker keeps the last object that it was given, and at the start there is one for each object.
    found.queueing.idle_timeout = 0.1
    found.networking.request_timeout = 30
    found.networking.connect_timeout = 5
    found.networking.error_backoffs = Patience()
    # Unused as well: what is compared here are children, with what was applied, and not each object with itself of before.
    found.persistence.diffbase_storage = _NoDiffBase()
    # Unused, since nothing here needs a finalizer; but never kopf's default, which other operators share.
    found.persistence.finalizer = f"{names.GROUP}/finalizer"
    found.execution.max_workers = 1
    # Would kill the process some seconds after the watches have ended, which they may do to begin anew.
    found.process.ultimate_exiting_timeout = None
    for kind in WATCHED:
        # The key must be a tuple: 'apps/deployments' would silently match nothing, and every Deployment be watched.
        if kind.selector:
            found.watching.label_selectors[kind.group, kind.version, kind.plural] = kind.selector
    return found


def registry(
    credentials: Credentials, identity: str, trace: aiohttp.TraceConfig, store: Store, enqueue: Enqueue
) -> kopf.OperatorRegistry:
    """Return the handlers: every kind fills the store, and `enqueue` receives each Community that an event concerns."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=credentials.server, aiohttp_session=credentials.session(trace, identity))

    for kind in (COMMUNITY, *WATCHED):
        _follow(found, kind, store, enqueue)
    return found


def _follow(found: kopf.OperatorRegistry, kind: Kind, store: Store, enqueue: Enqueue) -> None:
    # No kopf.index: it would hold every listed object in memory until the last kind is listed, and wake all of them for
    # each (24 s of CPU and 100 MiB for 4,400 objects, in which the lease was hardly renewed). See `resync.fill`.
    @kopf.on.event(kind.group, kind.version, kind.plural, id=f"watch-{kind.plural}", registry=found)
    async def changed(event: kopf.RawEvent, **_: Any) -> None:
        note(event, kind, store, enqueue)


def note(event: kopf.RawEvent, kind: Kind, store: Store, enqueue: Enqueue) -> None:
    """Put what a watch tells into the store, and enqueue the Community that is to be reconciled for it, if any."""
    # Items of a list come without their kind.
    resource = {**event["object"], "apiVersion": kind.api_version, "kind": kind.name}
    touched, is_gone = community_of(resource), event["type"] == "DELETED"
    seconds: float | None = 0.0
    if touched is not None and news.is_of_run(resource):
        # Of a pod its own words are enough; a CronJob that is gone is news, whatever was known of it.
        known = None if kind.name == "Pod" or (is_gone and kind.name == "CronJob") else store.find(key_of(resource))
        seconds = news.delay(resource, known, is_healthy=store.is_healthy(touched))
    if is_gone:
        store.drop(resource, is_news=seconds is not None)
    else:
        store.put(resource, is_news=seconds is not None)
    if touched is not None and seconds is not None:
        enqueue(touched, seconds)


def install_signal_handlers(stop: asyncio.Event) -> None:
    """Let SIGTERM and SIGINT set `stop`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)


class Watches:
    """One watch for each kind in each scope that has begun. SIGTERM and SIGINT set `stop`."""

    def __init__(self, handlers: kopf.OperatorRegistry, stop: asyncio.Event) -> None:
        self._handlers = handlers
        self._stop = stop
        self._scopes: set[str | None] = set()
        self._any = asyncio.Event()
        self._insights = Insights()

    async def begin(self, scope: str | None) -> None:
        """Watch a scope from now on."""
        self._scopes.add(scope)
        self._any.set()
        await self._revise()

    async def end(self, scope: str | None) -> None:
        """Watch a scope no more."""
        self._scopes.discard(scope)
        if not self._scopes:
            self._any.clear()
        await self._revise()

    async def run(self) -> None:
        """Watch until cancelled. Raises what makes watching impossible."""
        for pause in Patience():
            await self._any.wait()
            try:
                await self._watch()
            except WatchingError as error:
                # The apiserver ended one with an error other than 410, which kopf takes for the end of all.
                _log.warning("watches begin anew", extra={"error": str(error)})
                await asyncio.sleep(pause)

    async def _revise(self) -> None:
        """Let kopf start and stop watches, as it does by itself where it may watch namespaces."""
        insights = self._insights
        async with insights.revised:
            insights.namespaces.clear()
            insights.namespaces.update(scope if scope is None else NamespaceName(scope) for scope in self._scopes)
            insights.revised.notify_all()

    async def _watch(self) -> None:
        self._insights = insights = Insights()
        tasks = await kopf.spawn_tasks(
            registry=self._handlers,
            insights=insights,
            # Only peering uses it, which is off; kopf would ask the user database, where the container's user has no entry.
            identity=socket.gethostname(),  # type: ignore[arg-type]  # a str, but of a type that kopf does not export
            settings=settings(),
            clusterwide=None in self._scopes,
            namespaces=[scope for scope in self._scopes if scope is not None],
        )
        # In the place of kopf's own handlers: it takes its time to end its watches, and the lease must be released first.
        install_signal_handlers(self._stop)
        listed = asyncio.create_task(_check_kinds(insights), name="check of the kinds")
        waiting = {listed, *tasks}
        try:
            while waiting:
                ended, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    if not task.cancelled():
                        task.result()
                if ended != {listed}:
                    raise WatchesEndedError(", ".join(task.get_name() for task in ended))
        finally:
            await _end({listed, *tasks})


async def _check_kinds(insights: Insights) -> None:
    """kopf watches the kinds that are served when it starts, and would wait in silence for the others."""
    await insights.ready_resources.wait()
    found = {resource.plural for resource in insights.watched_resources}
    lacking = [kind.plural for kind in (COMMUNITY, *WATCHED) if kind.plural not in found]
    if lacking:
        raise WatchesEndedError(f"the apiserver does not serve {', '.join(lacking)}")


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """End kopf's tasks, the watches first. Not by `kopf.run_tasks`: once a watch has died, it closes the session of the
    others, asks them to end while they wait for another one, and waits for them for ever (kopf 1.45.2)."""
    watchers = {task for task in asyncio.all_tasks() if task.get_name().startswith("watcher for ")}
    for ending in (watchers, tasks):
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=_END_SECONDS)
