"""Resyncs: Secrets, which are not watched, are read again, and the store is compared with fresh lists, since a broken watch
may have missed events."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from typing import Final

from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.informer.queue import Patience
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import COMMUNITY, WATCHED

_log = logging.getLogger(__name__)
#: Every how many rounds the store is compared with fresh lists.
AUDIT_ROUNDS: Final = 10
#: Seconds between noticing a gap and looking for what was missed in it.
GAP_SECONDS: Final = 2.0
#: More Communities than this make a round longer instead of busier: idling must not cost more the more there are.
ROUND: Final = 12


async def resync(kube: Kube, store: Store, seconds: float, enqueue: Callable[[CommunityKey], None]) -> None:
    """Name every Community again and again, evenly spread over a round of about `seconds`, longer when there are many."""
    turn = 0
    while True:
        keys = [key for key in store.communities() if store.is_listed(key.namespace)]
        length = seconds * random.uniform(0.8, 1.2)
        for key in keys:
            enqueue(key)
            await asyncio.sleep(length / min(len(keys), ROUND))
        if not keys:
            await asyncio.sleep(length)
            continue
        turn += 1
        if turn % AUDIT_ROUNDS == 0:
            await audit(kube, store, enqueue)


async def fill(kube: Kube, store: Store, scope: str | None, failed: Callable[[], None]) -> None:
    """List every kind of a scope once into the store, before anything of it is watched or done: a half-filled one would
    look like lost children. Raises KubeError when a kind may not be listed; else tries until it is, and calls `failed` at
    each attempt that fails."""
    for kind in (COMMUNITY, *WATCHED):
        for pause in Patience():
            try:
                async for resource in kube.objects(kind, scope):
                    store.put(resource)
                break
            except KubeError as error:
                # 404 for the whole cluster: the CRD is away for a moment, and what cannot be listed cannot be refused.
                if error.is_refusal or (error.status == 404 and scope is not None):
                    raise
                _log.warning("listing failed", extra={"kind": kind.name, "error": str(error)})
                failed()
                await asyncio.sleep(pause)


async def close_gaps(
    kube: Kube, store: Store, listed_again: asyncio.Event, enqueue: Callable[[CommunityKey], None]
) -> None:
    """Compare the store with fresh lists whenever a watch had a gap, instead of some rounds later."""
    while True:
        await listed_again.wait()
        # Several kinds are listed together when the apiserver was away; a watch that fails again and again waits as well.
        await asyncio.sleep(GAP_SECONDS)
        listed_again.clear()
        await audit(kube, store, enqueue)


async def audit(kube: Kube, store: Store, enqueue: Callable[[CommunityKey], None]) -> None:
    """Forget objects that are gone. When a watch must be opened anew (410 Gone), kopf lists what exists, and what was
    deleted meanwhile would live on in the store: the child would never be restored."""
    for kind in (COMMUNITY, *WATCHED):
        for scope in list(store.listed):
            try:
                version, existing = await kube.versions(kind, scope)
            except KubeError as error:
                _log.warning("audit failed", extra={"kind": kind.name, "error": str(error)})
                continue
            for touched in store.prune(kind.name, scope, version, existing):
                _log.warning("missed a deletion", extra={"kind": kind.name, "community": "/".join(touched)})
                enqueue(touched)
