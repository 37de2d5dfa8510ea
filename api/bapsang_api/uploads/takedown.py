"""Takedown: what was deleted goes from the bucket within seconds, what was hidden goes from sight, what is shown again is back.

Whoever decides so writes `settle_at` in the same transaction, and one process at a time carries it out: a decision is never
lost, and of two on the same image the last one stands. The edge is told by the bucket's own events (`purge_function`).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.uploads import rules, store
from bapsang_api.uploads.collector import References, in_use
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.store import DueImage

log = logging.getLogger(__name__)

LOCK: Final = "image-takedown"
BATCH: Final = 20


class Takedown:
    """Brings the objects of images to where they belong."""

    def __init__(self, database: Database, storage: Storage, clock: Clock, references: Sequence[References]) -> None:
        self._database, self._storage, self._clock, self._references = database, storage, clock, references

    async def run(self) -> int:
        """Carry out what was decided; return how many objects were moved or deleted. Raises Unavailable.

        Returns 0 at once while another process does.
        """
        done = 0
        if not await self._database.read(partial(store.any_due, now=self._clock.now())):
            return done
        async with self._database.exclusive(LOCK) as lane:
            while lane is not None and (batch := await lane.write(self._decide)):
                jobs = [self._storage.run(partial(self._settle, image)) for image in batch]
                outcomes = dict(zip(batch, await asyncio.gather(*jobs, return_exceptions=True), strict=True))
                await lane.write(partial(self._note, outcomes=outcomes))
                moved = [image.object_key for image, error in outcomes.items() if error is None]
                log.info("takedown.done", extra={"images": moved})
                done += len(moved)
                for error in filter(None, outcomes.values()):
                    raise error
        return done

    def _decide(self, connection: Connection) -> list[DueImage]:
        """Return a batch of what is due, after ending for good the use of what nothing refers to."""
        batch = store.due(connection, BATCH, self._clock.now())
        released = [image.as_unused for image in batch if image.unused_since is not None]
        used = in_use(connection, released, self._references)
        store.keep(connection, [image.image_id for image in released if image.object_key in used])
        gone = [image.image_id for image in released if image.object_key not in used]
        store.collect(connection, gone, self._clock.now())
        return [image for image in batch if image.object_key not in used]

    def _note(self, connection: Connection, outcomes: Mapping[DueImage, BaseException | None]) -> None:
        """Note what is done. What S3 refused comes after all others, so that one object cannot hold them up."""
        done = [image for image, error in outcomes.items() if error is None]
        store.forget(connection, [image.image_id for image in done if image.unused_since is not None])
        store.settled(connection, done, None)
        store.settled(connection, [image for image, error in outcomes.items() if error], self._clock.now())

    def _settle(self, image: DueImage) -> None:
        """Bring one object to where it belongs. Doing it again is harmless."""
        public = rules.folder_of(image.object_key)
        withheld = rules.withheld_key(public)
        if image.unused_since is not None:
            self._storage.remove_below(public, withheld, rules.original_key(image.image_id))
        elif image.withheld_at is not None:
            self._move(public, "", rules.WITHHELD_PREFIX)
        else:
            self._move(withheld, rules.WITHHELD_PREFIX, "")

    def _move(self, below: str, old: str, new: str) -> None:
        """Give the objects below a prefix keys that begin otherwise."""
        objects = self._storage.objects
        for key in objects.names(below):
            objects.copy(key, f"{new}{key.removeprefix(old)}")
        self._storage.remove_below(below)
