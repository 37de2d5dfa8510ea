"""Looking again without being told: for Secrets, which are not watched, and for what a broken watch may have missed."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Final

from bapsang_operator.kinds import COMMUNITY, WATCHED
from bapsang_operator.kube import Kube, KubeError
from bapsang_operator.store import CommunityKey, Store

_log = logging.getLogger(__name__)
#: Every how many rounds the store is compared with fresh lists.
AUDIT_ROUNDS: Final = 10


async def resync(
    kube: Kube, store: Store, namespaces: Iterable[str], seconds: float, concern: Callable[[CommunityKey], None]
) -> None:
    """Name every Community again and again, about every `seconds`, spread so that they do not come all at once."""
    scopes: list[str | None] = [*namespaces] or [None]
    turn = 0
    while True:
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))
        if not store.is_listed:
            continue
        turn += 1
        if turn % AUDIT_ROUNDS == 0:
            await audit(kube, store, scopes, concern)
        for key in store.communities():
            concern(key)
            # A breath between two: a round of many Communities must not delay the events.
            await asyncio.sleep(0)


async def audit(
    kube: Kube, store: Store, scopes: Iterable[str | None], concern: Callable[[CommunityKey], None]
) -> None:
    """Forget objects that are gone. When a watch must be opened anew (410 Gone), kopf lists what exists, and what was
    deleted meanwhile would live on in the store: the child would never be restored."""
    for kind in (COMMUNITY, *WATCHED):
        for scope in scopes:
            try:
                version, existing = await kube.versions(kind, scope)
            except KubeError as error:
                _log.warning("audit failed", extra={"kind": kind.name, "error": str(error)})
                continue
            for touched in store.prune(kind.name, scope, version, existing):
                _log.warning("missed a deletion", extra={"kind": kind.name, "community": "/".join(touched)})
                concern(touched)
