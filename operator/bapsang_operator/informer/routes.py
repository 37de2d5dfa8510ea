"""Follows HTTPRoutes, a kind that may be absent: lists and watches them in each scope while the apiserver serves them.

Apart from kopf, which finds only the kinds that are served when it starts, and ends when one of them goes: neither may
stop an operator whose other Communities have never heard of the Gateway API.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.informer.health import SILENCE_SECONDS, WATCH_SECONDS
from bapsang_operator.informer.queue import backoff
from bapsang_operator.informer.store import CommunityKey, Store, community_of
from bapsang_operator.kinds import HTTP_ROUTE
from bapsang_operator.manifest import Manifest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outlook:
    """Whether HTTPRoutes can be made in a namespace. `lacking`: what stands in the way; `unread`: why those that are there
    are not known. Empty for nothing."""

    lacking: str = ""
    unread: str = ""


#: Without the chart's `gateway.enabled`.
NO_RIGHTS: Final = Outlook("the operator has no rights on HTTPRoutes; set gateway.enabled in its chart")
_ABSENT: Final = Outlook(
    f"the apiserver does not serve {HTTP_ROUTE.plural}.{HTTP_ROUTE.group}; install the Gateway API's CRDs"
)
_NOT_YET: Final = Outlook(unread="the HTTPRoutes were not listed yet")
#: Seconds between the end of a watch and the next list.
_PAUSE_SECONDS: Final = 1.0


class Routes:
    """Fills the store with the HTTPRoutes of each scope. `seconds`: how often an apiserver that does not serve them is
    asked again. `are_tried` is set once each scope was listed or could not be."""

    def __init__(
        self,
        kube: Kube,
        store: Store,
        scopes: Iterable[str | None],
        enqueue: Callable[[CommunityKey], None],
        seconds: float,
    ) -> None:
        self.are_tried = asyncio.Event()
        self._kube = kube
        self._store = store
        self._enqueue = enqueue
        self._seconds = seconds
        self._outlooks = dict.fromkeys(scopes, _NOT_YET)

    def outlook(self, namespace: str) -> Outlook:
        """Return whether HTTPRoutes can be made in a namespace. Those of another one that are not known count, too: one of
        them may serve the host."""
        own = self._outlooks.get(None) or self._outlooks[namespace]
        if own.lacking or own.unread:
            return own
        return next((found for found in self._outlooks.values() if found.unread), own)

    async def follow(self, scope: str | None) -> None:
        """List and watch a scope for ever."""
        failures = 0
        while True:
            try:
                await self._once(scope)
                failures = 0
            except KubeError as error:
                failures += 1
                _log.warning("routes not followed", extra={"namespace": scope or "all", "error": str(error)})
                if error.is_refusal:
                    self._become(scope, Outlook(f"the apiserver refuses HTTPRoutes: {error.message}"))
                elif self._outlooks[scope] == _NOT_YET:
                    self._become(scope, Outlook(unread=error.message))
                await asyncio.sleep(backoff(failures, random.random()))

    async def _once(self, scope: str | None) -> None:
        """List and watch once, until the watch ends. Raises KubeError."""
        if not await self._kube.serves(HTTP_ROUTE):
            self._prune(scope, sys.maxsize, set())
            self._become(scope, _ABSENT)
            await asyncio.sleep(self._seconds)
            return
        # The version first: what changes while pages are read is told by the watch as well.
        version, existing = await self._kube.versions(HTTP_ROUTE, scope)
        self._prune(scope, version, existing)
        is_first = self._outlooks[scope] == _NOT_YET
        async for resource in self._kube.objects(HTTP_ROUTE, scope):
            # At the start each Community is named by its own watch, and not before: a pass in between would miss what
            # happens to its other children until they are watched.
            self._store.put(resource) if is_first else self._note("LISTED", resource)
        self._become(scope, Outlook())
        async for event, resource in self._kube.changes(HTTP_ROUTE, scope, version, WATCH_SECONDS, SILENCE_SECONDS):
            self._note(event, resource)
        await asyncio.sleep(_PAUSE_SECONDS)

    def _note(self, event: str, resource: Manifest) -> None:
        (self._store.drop if event == "DELETED" else self._store.put)(resource)
        touched = community_of(resource)
        if touched is not None:
            self._enqueue(touched)

    def _prune(self, scope: str | None, version: int, existing: set[tuple[str, str]]) -> None:
        for touched in self._store.prune(HTTP_ROUTE.name, scope, version, existing):
            self._enqueue(touched)

    def _become(self, scope: str | None, found: Outlook) -> None:
        before, self._outlooks[scope] = self._outlooks[scope], found
        if _NOT_YET not in self._outlooks.values():
            self.are_tried.set()
        if before not in (found, _NOT_YET):
            for community in self._store.communities():
                self._enqueue(community)
