"""The scopes of lists and watches: each watched namespace by itself, or the whole cluster (None).

A namespace that the apiserver refuses (deleted, or without rights for the operator) is tried again, later and later. One
that it refuses, or fails to list, keeps no other one waiting.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable
from functools import partial

from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.informer.health import Health
from bapsang_operator.informer.queue import LONGEST_DELAY, backoff
from bapsang_operator.informer.resync import fill
from bapsang_operator.informer.store import Store
from bapsang_operator.informer.watch import Watches

_log = logging.getLogger(__name__)


class Scopes:
    """Fills the store with each scope and has it watched. `are_tried` is set once each was listed or could not be."""

    def __init__(self, kube: Kube, store: Store, watches: Watches, signs: Health, namespaces: Iterable[str]) -> None:
        self.all: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self.are_tried = asyncio.Event()
        self._kube = kube
        self._store = store
        self._watches = watches
        self._signs = signs
        self._untried = set(self.all)
        store.awaited = set(self.all)

    async def follow(self, scope: str | None) -> None:
        """List and watch a scope for ever. Raises KubeError when the whole cluster is refused."""
        failures = 0
        clock = asyncio.get_running_loop().time
        while True:
            began = clock()
            try:
                await fill(self._kube, self._store, scope, partial(self._pass_over, scope))
            except KubeError as error:
                if scope is None:
                    raise
                self._store.awaited.discard(scope)
                self._store.leave(scope)
                self._pass_over(scope)
                _log.warning("namespace refused", extra={"namespace": scope, "error": str(error)})
            else:
                self._store.awaited.discard(scope)
                self._store.listed.add(scope)
                self._signs.expect(scope)
                self._note(scope)
                await self._watches.begin(scope)
                await self._signs.refusal(scope)
                await self._watches.end(scope)
                self._store.leave(scope)
            failures = failures + 1 if clock() - began < LONGEST_DELAY else 1
            await asyncio.sleep(backoff(failures, random.random()))

    def _pass_over(self, scope: str | None) -> None:
        """Go on without a scope that cannot be listed now."""
        if scope is not None:
            self._signs.excuse(scope)
        self._note(scope)

    def _note(self, scope: str | None) -> None:
        self._untried.discard(scope)
        if not self._untried:
            self.are_tried.set()
