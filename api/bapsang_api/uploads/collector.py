"""The image collector: throws away uploads that were not used within a day, and images that nothing refers to any more."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.uploads import rules, store
from bapsang_api.uploads.storage import Storage
from bapsang_api.uploads.store import UnusedImage

log = logging.getLogger(__name__)

GRACE_HOURS: Final = 24
BATCH: Final = 500
# Answers which of these images something refers to, by their object keys. Given by the domains that refer to images,
# which this one does not know.
References = Callable[[Connection, Sequence[UnusedImage]], set[str]]


def in_use(connection: Connection, images: Sequence[UnusedImage], references: Sequence[References]) -> set[str]:
    """Return the object keys of those of these images that something refers to."""
    return {key for refer in references for key in refer(connection, images)} if images else set()


@dataclass
class Report:
    """What a run has collected, or, dry, would have."""

    uploads: int = 0
    originals: int = 0
    images: int = 0
    kept: int = 0  # noted as unused, yet something refers to them

    def fields(self) -> dict[str, Any]:
        return asdict(self)


class ImageCollector:
    """Runs once. Doing it again, twice at a time or after a crash halfway is harmless."""

    def __init__(
        self,
        database: Database,
        storage: Storage,
        clock: Clock,
        *,
        references: Sequence[References],
        grace: timedelta,
        originals: timedelta,
    ) -> None:
        """`originals`: for how long uploads that were used are kept as they were."""
        self._database, self._storage, self._clock = database, storage, clock
        self._references, self._grace, self._originals = references, grace, originals

    async def run(self, *, dry_run: bool) -> Report:
        """Collect everything unused for longer than the grace. Raises Unavailable when the database or S3 is down."""
        report, before = Report(), self._clock.now() - self._grace
        await self._collect_images(report, before, dry_run=dry_run)
        for prefix in (rules.TEMP_PREFIX, rules.USERS_PREFIX, rules.CHECKED_PREFIX):
            report.uploads += await self._collect_below(prefix, before, dry_run=dry_run)
        before = self._clock.now() - self._originals
        report.originals += await self._collect_below(rules.ORIGINALS_PREFIX, before, dry_run=dry_run)
        return report

    async def _collect_images(self, report: Report, before: datetime, *, dry_run: bool) -> None:
        last: UnusedImage | None = None
        while True:
            condemn = partial(self._condemn, before=before, after=last, dry_run=dry_run)
            batch, unused = await self._database.write(condemn)
            if not batch:
                return
            last = batch[-1]
            report.images += len(unused)
            report.kept += len(batch) - len(unused)
            if not dry_run:
                # The row goes last: after a crash in between, the next run comes here again.
                for image in unused:
                    below = rules.folder_of(image.object_key), rules.original_key(image.image_id)
                    await self._storage.run(partial(self._storage.remove_below, *below))
                await self._database.write(partial(store.forget, image_ids=[image.image_id for image in unused]))

    def _condemn(
        self, connection: Connection, *, before: datetime, after: UnusedImage | None, dry_run: bool
    ) -> tuple[list[UnusedImage], list[UnusedImage]]:
        """Return a batch of images noted as unused, and those that really are, after ending their use for good.

        Under the lock that `attach` takes: who attached before is seen here, who comes later finds it collected.
        """
        batch = store.unused(connection, before, after, BATCH, self._clock.now(), lock=not dry_run)
        used = in_use(connection, batch, self._references)
        unused = [image for image in batch if image.object_key not in used]
        if not dry_run:
            store.keep(connection, [image.image_id for image in batch if image.object_key in used])
            store.collect(connection, [image.image_id for image in unused], self._clock.now())
        return batch, unused

    async def _collect_below(self, prefix: str, before: datetime, *, dry_run: bool) -> int:
        """Delete old objects, which nothing refers to; return how many. There are never more than the time brings."""
        found = 0
        pages = self._storage.pages(prefix)
        while (page := await self._storage.run(partial(next, pages, None))) is not None:
            old = [item.key for item in page if item.uploaded_at < before]
            found += len(old)
            if not dry_run:
                await self._storage.run(partial(self._storage.remove, old))
        return found
