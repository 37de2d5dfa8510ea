"""What has to be true of the bucket and the rows: while everything is killed, and at the end."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from PIL import Image
from sqlalchemy import Connection, select, text

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.database import Database
from bapsang_api.posts.store import images_in_use as post_images
from bapsang_api.uploads import rules
from bapsang_api.uploads.collector import ImageCollector, Report
from bapsang_api.uploads.photo import Photo, State
from bapsang_api.uploads.queries import images
from bapsang_api.uploads.storage import Storage
from bapsang_api.users.store import images_in_use as profile_images

from .people import DELETED, HIDDEN, Taken
from .points import VARIANTS

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_FOLDERS: Final = (rules.PUBLIC_PREFIX, rules.WITHHELD_PREFIX, rules.ORIGINALS_PREFIX, rules.CHECKED_PREFIX)
_SEEN_EVERY: Final = 0.5
_SHOWN: Final = text(
    "SELECT i.object_key FROM post_images i JOIN posts p ON p.id = i.post_id WHERE p.post_status <> 'DELETED'"
)


@dataclass(frozen=True)
class Row:
    """A row of images."""

    id: str
    upload_key: str
    object_key: str
    confirmed_at: datetime | None
    withheld_at: datetime | None
    due_at: datetime | None
    photo: Photo


class Later(SystemClock):
    """The machine's clock, some time ahead."""

    def __init__(self, ahead: timedelta) -> None:
        self._ahead = ahead

    def now(self) -> datetime:
        return super().now() + self._ahead


class Audit:
    """Compares what there is with what there has to be; what is wrong is said in `wrong`."""

    def __init__(self, database: Database, storage: Storage, s3: S3Client, bucket: str) -> None:
        self._database, self._storage, self._s3, self._bucket = database, storage, s3, bucket
        self._tags: dict[str, str] = {}
        self._known: dict[str, Photo] = {}
        self.wrong: list[str] = []

    async def watching(self) -> None:
        """See until cancelled whether a key ever gets other bytes, or a verdict is ever replaced by another."""
        while True:
            for key, tag in (await asyncio.to_thread(self._objects, rules.PUBLIC_PREFIX)).items():
                if self._tags.setdefault(key, tag) != tag:
                    self.wrong.append(f"{key} has other bytes than before")
            for row in await self._rows():
                if row.photo.state is not State.PENDING and self._known.setdefault(row.id, row.photo) != row.photo:
                    self.wrong.append(f"{row} was {self._known[row.id]}")
            await asyncio.sleep(_SEEN_EVERY)

    async def left(self) -> int:
        """Return how many images are still to be made, moved or deleted."""
        statement = text("SELECT SUM(settle_at IS NOT NULL OR due_at IS NOT NULL AND withheld_at IS NULL) FROM images")
        return int(await self._database.read(lambda connection: connection.scalar(statement)) or 0)

    async def collect(self) -> Report:
        """Run the collector as of tomorrow."""
        references = (profile_images, post_images)
        clock, day = Later(timedelta(hours=25)), timedelta(hours=24)
        collector = ImageCollector(
            self._database, self._storage, clock, references=references, grace=day, originals=30 * day
        )
        return await collector.run(dry_run=False)

    async def compare(self, taken: Sequence[Taken]) -> Counter[str]:
        """Compare all photos with their rows, and all rows with the objects; return how many photos ended how."""
        rows = await self._rows()
        shown = await self._database.read(lambda connection: {key for (key,) in connection.execute(_SHOWN)})
        outcomes: Counter[str] = Counter()
        for one in taken:
            mine = [row for row in rows if row.upload_key == one.upload_key]
            outcomes[outcome := self._outcome(one, mine, shown)] += 1
            if outcome == "wrong":
                self.wrong.append(f"{one} has the rows {mine}")
        found = {key for prefix in _FOLDERS for key in await asyncio.to_thread(self._objects, prefix)}
        expected = {key for row in rows for key in _variants_of(row)} | {rules.original_key(row.id) for row in rows}
        # Of a photo that was hidden while it was made, what had been written by then: shown again, it is made to the end.
        begun = tuple(_withheld_folder(row) for row in rows if row.withheld_at and row.photo.state is State.PENDING)
        for key in sorted(key for key in found - expected if not key.startswith(begun)):
            known = next((row for row in rows if row.id in key), "it belongs to no row")
            self.wrong.append(f"{key} should not be there: {known}")
        self.wrong += [f"{key} is not there" for key in sorted(expected - found)]
        for row in rows:
            for key, (width, size) in _variants_of(row).items():
                if key in found:
                    await asyncio.to_thread(self._look, key, width, size)
        return outcomes

    @staticmethod
    def _outcome(taken: Taken, rows: Sequence[Row], shown: set[str]) -> str:
        if taken.fate == DELETED and any(row.object_key in shown for row in rows):
            # It was posted twice: who had posted it died between the commit and the answer.
            return "deleted once" if len(rows) == 1 and rows[0].photo.state is not State.PENDING else "wrong"
        if taken.is_refused or (taken.fate == DELETED and taken.post_id):
            return ("deleted" if taken.post_id else "refused") if not rows else "wrong"
        if len(rows) != 1 or rows[0].confirmed_at is None:
            return "wrong"
        state = rows[0].photo.state
        if state is State.PENDING and rows[0].withheld_at and taken.fate == HIDDEN:
            return "hidden before it was made"
        return str(state) if state is (State.REFUSED if taken.is_spoiled else State.READY) else "wrong"

    def _look(self, key: str, width: int, size: int) -> None:
        content = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
        if (picture.width, len(content)) != (width, size):
            self.wrong.append(
                f"{key} has {len(content)} bytes and is {picture.width} wide; its row says {size}, {width}"
            )

    def _objects(self, prefix: str) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}

    async def _rows(self) -> list[Row]:
        columns = [images.c[name] for name in Row.__dataclass_fields__]

        def read(connection: Connection) -> list[Row]:
            return [Row(*row) for row in connection.execute(select(*columns))]

        return await self._database.read(read)


def _variants_of(row: Row) -> dict[str, tuple[int, int]]:
    """Return the keys of the variants that a row says there are, with the width and the bytes of each."""
    if row.photo.state is not State.READY:
        return {}
    folder = _withheld_folder(row) if row.withheld_at else rules.folder_of(row.object_key)
    found = {}
    for size in row.photo.sizes:
        found[f"{folder}/{size.nominal}.webp"] = (size.width, size.webp_bytes)
        found[f"{folder}/{size.nominal}.jpg"] = (size.width, size.jpeg_bytes)
    assert len(found) == VARIANTS, row
    return found


def _withheld_folder(row: Row) -> str:
    return rules.withheld_key(rules.folder_of(row.object_key))
