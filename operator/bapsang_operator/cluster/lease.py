"""Which of several operators writes: the one that holds a coordination Lease. The others watch, ready to take over.

Times as in client-go: a holder stops writing when it could not renew for `renew_deadline` seconds; another one takes
over only after it has seen no renewal for `duration` seconds. Each side counts on its own clock, so clocks need not
agree. What a write that left at the last moment may still take is the difference of the two.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bapsang_operator import names
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.cluster.fence import Fence
from bapsang_operator.kinds import LEASE
from bapsang_operator.manifest import Key, Manifest

_log = logging.getLogger(__name__)
#: A waiting process looks this many times in each `retry` interval: a clean handover is noticed within a moment.
_LOOKS: Final = 5
#: Seconds that writes under way may take to end before the lease is given back; else it runs out by itself.
_DRAIN_SECONDS: Final = 0.5


class LeaseLostError(Exception):
    """The lease was not renewed in time or belongs to another process: this one must end."""


@dataclass(frozen=True)
class Timing:
    """All in seconds; see the module's text."""

    duration: float
    renew_deadline: float
    retry: float


class Lease:
    """The lease and this process's hold on it, which moves `fence`."""

    def __init__(
        self, kube: Kube, fence: Fence, namespace: str, identity: str, timing: Timing, clock: Callable[[], float]
    ) -> None:
        self._kube = kube
        self._fence = fence
        self._key = Key(LEASE.name, namespace, names.MANAGER)
        self._identity = identity
        self._timing = timing
        self._clock = clock
        self._live: Manifest | None = None

    async def acquire(self) -> None:
        """Wait until this process holds the lease. Raises KubeError when the apiserver refuses it for good."""
        seen, since, told = "", self._clock(), ""
        while True:
            try:
                live = await asyncio.wait_for(self._kube.get(self._key), self._timing.retry)
                version = live["metadata"]["resourceVersion"] if live else ""
                if version != seen:
                    seen, since = version, self._clock()
                if (live is None or self._is_free(live, since)) and await self._take(live):
                    return
                holder = (live or {}).get("spec", {}).get("holderIdentity")
                if holder and holder != told:
                    told = holder
                    _log.info("waiting for the lease", extra={"lease": str(self._key), "holder": holder})
            except (KubeError, TimeoutError) as error:
                if isinstance(error, KubeError) and error.is_refusal:
                    raise
                _log.warning("lease not readable", extra={"lease": str(self._key), "error": repr(error)})
            await asyncio.sleep(self._timing.retry / _LOOKS)

    async def hold(self) -> None:
        """Renew the lease again and again. Raises LeaseLostError once this process may not write any more."""
        while True:
            await asyncio.sleep(self._timing.retry)
            if not self._fence.is_open:
                raise LeaseLostError(f"the lease was not renewed for {self._timing.renew_deadline:g} s")
            try:
                await self._renew()
            except KubeError as error:
                _log.warning("lease not renewed", extra={"lease": str(self._key), "error": str(error)})

    async def release(self) -> None:
        """Stop writing and, once nothing is under way any more, give the lease back for another process to take."""
        held = self._live is not None
        self._fence.close()
        if not held:
            return
        try:
            await asyncio.wait_for(self._fence.idle(), _DRAIN_SECONDS)
            # Read anew: a renewal whose answer did not reach us may have changed the version.
            live = await self._kube.get(self._key)
            if live is not None and live["spec"].get("holderIdentity") == self._identity:
                await self._kube.replace_lease(self._body(live, holder="", duration=1))
        except (KubeError, TimeoutError) as error:
            # Harmless: it runs out by itself.
            _log.warning("lease not released", extra={"lease": str(self._key), "error": repr(error)})

    def _is_free(self, live: Manifest, since: float) -> bool:
        spec = live.get("spec", {})
        duration = spec.get("leaseDurationSeconds", self._timing.duration)
        return not spec.get("holderIdentity") or self._clock() - since >= duration

    async def _take(self, live: Manifest | None) -> bool:
        """Write this process into the lease; False when another one was faster."""
        started = self._clock()
        body = self._body(live, holder=self._identity, duration=self._timing.duration)
        try:
            self._live = await (
                self._kube.create(body, fenced=False) if live is None else self._kube.replace_lease(body)
            )
        except KubeError as error:
            if error.status == 409:
                return False
            raise
        self._fence.open_until(started + self._timing.renew_deadline)
        return True

    async def _renew(self) -> None:
        started = self._clock()
        body = self._body(self._live, holder=self._identity, duration=self._timing.duration)
        try:
            self._live = await self._kube.replace_lease(body)
        except KubeError as error:
            if error.status not in {404, 409}:
                raise
            # Somebody else wrote it, or the answer to our own renewal was lost on its way.
            self._live = await self._kube.get(self._key)
            if self._live is None or self._live.get("spec", {}).get("holderIdentity") != self._identity:
                self._fence.close()
                raise LeaseLostError("another process has taken the lease") from error
            return
        self._fence.open_until(started + self._timing.renew_deadline)

    def _body(self, live: Manifest | None, *, holder: str, duration: float) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (live or {}).get("spec", {})
        changes = before.get("holderIdentity") != holder
        metadata: Manifest = {"name": self._key.name, "namespace": self._key.namespace}
        if live is not None:
            # The version makes the write fail when anybody has written since.
            metadata["resourceVersion"] = live["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.name,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": round(duration),
                "acquireTime": now if changes else before.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (1 if holder and changes else 0),
            },
        }
