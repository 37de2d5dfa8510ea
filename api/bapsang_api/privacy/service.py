"""Exports: somebody asks for what is kept of them, a process of the service writes it, and a link loads it for a while."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Unavailable
from bapsang_api.privacy import store
from bapsang_api.privacy.archive import archive
from bapsang_api.privacy.models import Export
from bapsang_api.uploads.rules import URL_SECONDS
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)
T = TypeVar("T")

LOCK: Final = "exports"
EXPORT_KEPT: Final = timedelta(days=7)
EXPORTS_PREFIX: Final = "exports/"
_FILE_NAME: Final = "bapsang.zip"
_OFF_RETRY_SECONDS: Final = 3600
_BATCH: Final = 100


class StoppedError(Exception):
    """The process ends; another one writes the export."""


@dataclass(frozen=True)
class Ready:
    """An export whose file is there: for so many bytes, at a URL for ten minutes, and until a day at all."""

    url: str
    url_expires_at: datetime
    size: int
    kept_until: datetime


class ExportService:
    """Takes and writes exports. `storage` is None where there is no bucket: then there are none."""

    def __init__(self, database: Database, storage: Storage | None, clock: Clock, ids: Ids) -> None:
        self._database, self._storage, self._clock, self._ids = database, storage, clock, ids

    async def request(self, user_id: str) -> Ready | None:
        """Return a user's export, None while it is being written. Raises Unavailable."""
        if self._storage is None:
            raise Unavailable(_OFF_RETRY_SECONDS)
        export = await self._database.read(partial(store.export_of, user_id=user_id))
        if export is None:
            fresh = Export(id=self._ids.new(), user_id=user_id, created_at=self._clock.now())
            try:
                await self._database.write(partial(store.add_export, export=fresh))
            except IntegrityError:  # asked for twice at once
                log.info("export.asked_twice")
            return None
        if export.ready_at is None or export.size is None:
            return None
        url = await self._storage.sign_download(_key_of(export.id), _FILE_NAME)
        now = self._clock.now()
        return Ready(url, now + timedelta(seconds=URL_SECONDS), export.size, export.ready_at + EXPORT_KEPT)

    async def run(self) -> int:
        """Write what was asked for, and remove what is outdated; return how many were written. Raises Unavailable.

        Returns 0 at once while another process does.
        """
        storage, done = self._storage, 0
        if storage is None:
            return 0
        await self._remove_outdated(storage)
        if await self._database.read(store.next_export) is None:
            return 0
        async with self._database.exclusive(LOCK) as lane:
            while lane is not None and (export := await self._database.read(store.next_export)) is not None:
                size = await self._written(storage, export)
                noted = partial(store.export_ready, export_id=export.id, size=size, now=self._clock.now())
                if not await self._database.write(noted):  # its user left meanwhile
                    await storage.run(partial(storage.remove, [_key_of(export.id)]))
                log.info("export.done", extra={"size": size})
                done += 1
        return done

    async def _written(self, storage: Storage, export: Export) -> int:
        """Write the file of an export on a thread of its own, which ends soon after this is cancelled; return its size."""
        stopped = threading.Event()

        def read(work: Callable[[Connection], Any]) -> Any:
            if stopped.is_set():
                raise StoppedError
            return self._database.reading(work)

        parts: Iterator[bytes] = archive(read, export.user_id)
        write = partial(storage.objects.write_privately, _key_of(export.id), parts, "application/zip")
        try:
            return await asyncio.to_thread(write)
        except (BotoCoreError, ClientError) as error:
            raise Unavailable from error
        finally:
            stopped.set()

    async def _remove_outdated(self, storage: Storage) -> None:
        before = self._clock.now() - EXPORT_KEPT
        outdated = await self._database.read(partial(store.outdated_exports, before=before, limit=_BATCH))
        if outdated:
            await storage.run(partial(storage.remove, [_key_of(export_id) for export_id in outdated]))
            await self._database.write(partial(store.remove_exports, export_ids=outdated))


def _key_of(export_id: str) -> str:
    return f"{EXPORTS_PREFIX}{export_id}.zip"
