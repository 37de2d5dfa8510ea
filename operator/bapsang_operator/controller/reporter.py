"""Writes the status of a Community, and posts Events about it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.conditions.events import Event, transitions
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.manifest import Manifest

_log = logging.getLogger(__name__)
#: For so long the same restoring gets one Event.
_SAME_EVENT_SECONDS = 600


class Reporter:
    """Writes statuses and posts Events."""

    def __init__(self, kube: Kube, store: Store, now: Callable[[], datetime]) -> None:
        self._kube = kube
        self._store = store
        self._now = now
        self._posted: dict[CommunityKey, dict[str, float]] = {}

    def fresh(self, key: CommunityKey, texts: list[str]) -> list[str]:
        """Return the texts that no Event had a short while ago: whoever undoes our work again and again must not fill
        etcd with Events."""
        now = self._now().timestamp()
        recent = {text: at for text, at in self._posted.get(key, {}).items() if now - at < _SAME_EVENT_SECONDS}
        fresh = [text for text in texts if text not in recent]
        self._posted[key] = recent | dict.fromkeys(fresh, now)
        return fresh

    async def report(self, resource: Manifest, new: Manifest, extra: Iterable[Event] = ()) -> None:
        """Write the status of a Community if it is another one, then post `extra` and what its changes deserve. Raises
        KubeError."""
        old = resource.get("status", {})
        if new != old:
            self._store.put(await self._kube.write_status(resource, new))
        for event in [*extra, *transitions(old, new)]:
            try:
                await self._kube.post_event(_event(resource, event, self._now()))
            except KubeError as error:
                # The status is written, so the next pass would not post it either: an Event is no reason for one.
                _log.warning("event not posted", extra={"event": event.reason, "error": str(error)})
                return

    def forget(self, key: CommunityKey) -> None:
        """Forget the Events of a Community that is gone."""
        self._posted.pop(key, None)


def _event(resource: Manifest, event: Event, now: datetime) -> Manifest:
    metadata = resource["metadata"]
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": event.type,
        "reason": str(event.reason),
        "message": event.message[:1024],
        "source": {"component": names.MANAGER},
        "reportingComponent": names.MANAGER,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
