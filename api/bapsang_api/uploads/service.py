"""Use cases of uploads: allowing one, and making a picture that was uploaded one that can be shown.

What is uploaded is never shown itself: its presigned URL goes on working for minutes after it was checked. The API
writes the checked picture, without its metadata, under a key of its own, and only that one is referred to.
"""

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import FieldError, InvalidInput, Unavailable
from bapsang_api.uploads import checking, pictures, rules, store
from bapsang_api.uploads.models import Image
from bapsang_api.uploads.rules import Category, Upload
from bapsang_api.uploads.s3 import Objects, TooLargeError
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)

_UNCONFIRMED: Final = "업로드가 확인되지 않은 이미지입니다."
_NOT_A_PICTURE: Final = "올바른 이미지 파일이 아닙니다."
_TOO_LARGE: Final = f"{rules.MOST_BYTES} 바이트 이하여야 합니다."
_TOO_MANY_PIXELS: Final = f"{pictures.MOST_PIXELS:,} 화소 이하여야 합니다."
_OFF_RETRY_SECONDS: Final = 3600


@dataclass(frozen=True)
class Presigned:
    """A URL to upload to, and the key by which the upload is named later."""

    url: str
    upload: Upload


@dataclass(frozen=True)
class Named:
    """An image as a request names it: the field it is named in, and its key."""

    field: str
    key: str


@dataclass(frozen=True)
class _Refused:
    """Why an upload cannot be shown."""

    message: str


class UploadService:
    """Allows uploads."""

    def __init__(self, storage: Storage | None, ids: Ids) -> None:
        self._storage, self._ids = storage, ids

    async def presign(self, *, content_type: str, size: int, category: Category, user_id: str | None) -> Presigned:
        """Return where to upload to; the values are checked ones. Raises Unavailable, also when uploads are off."""
        if self._storage is None:
            raise Unavailable(_OFF_RETRY_SECONDS)
        upload = rules.plan(
            content_type=content_type, size=size, category=category, user_id=user_id, upload_id=self._ids.new()
        )
        return Presigned(await self._storage.sign(upload), upload)


class ImageService:
    """Publishes what was uploaded. `storage` is None where uploads are off: then no image can be named."""

    def __init__(self, database: Database, storage: Storage | None, clock: Clock, ids: Ids) -> None:
        self._database, self._storage, self._clock, self._ids = database, storage, clock, ids

    def url(self, key: str | None) -> str | None:
        """Return the URL of a published image. It never changes and needs no signature."""
        return None if key is None or self._storage is None else self._storage.bucket.url(key)

    async def publish(self, named: Sequence[Named], *, owner_id: str, category: Category) -> list[str]:
        """Return the keys under which these images are published, in their order, for `attach` within an hour.

        Accepts keys of the owner's own uploads of the category, and of images published from such before. Raises
        InvalidInput naming each field whose image cannot be used, Unavailable when S3 does not answer.
        """
        if not named:
            return []
        if self._storage is None:
            raise InvalidInput(*(FieldError(image.field, _UNCONFIRMED) for image in named))
        foreign = [image for image in named if not _may_use(image.key, category, owner_id)]
        if foreign:
            raise InvalidInput(*(FieldError(image.field, _UNCONFIRMED) for image in foreign))
        keys = list(dict.fromkeys(image.key for image in named))
        known = await self._known(keys, owner_id, category)
        new = [key for key in keys if key not in known]
        usable = known | await self._publish(self._storage, new, owner_id, category)
        errors = [
            FieldError(image.field, reason.message)
            for image in named
            if isinstance(reason := usable[image.key], _Refused)
        ]
        if errors:
            raise InvalidInput(*errors)
        return [str(usable[image.key]) for image in named]

    async def _known(self, keys: Sequence[str], owner_id: str, category: Category) -> dict[str, str | _Refused]:
        """Return what was published before: an upload is looked at once, whatever it is overwritten with later.

        What another has published is refused, also a picture that another has signed up with.
        """
        ids = {key: image_id for key in keys if (image_id := rules.public_id(key, category)) is not None}
        found = await self._database.read(
            partial(store.published, upload_keys=[key for key in keys if key not in ids], image_ids=list(ids.values()))
        )
        known: dict[str, str | _Refused] = dict.fromkeys(ids, _Refused(_UNCONFIRMED))
        for image in found:
            own = image.object_key if image.owner_id == owner_id else _Refused(_UNCONFIRMED)
            known |= {key: own for key in (image.upload_key, image.object_key) if key in keys}
        return known

    async def _publish(
        self, storage: Storage, keys: Sequence[str], owner_id: str, category: Category
    ) -> dict[str, str | _Refused]:
        """Publish uploads that were not used before; return the key of each, or why it is refused."""
        if not keys:
            return {}
        now = self._clock.now()
        rows = []
        for key in keys:
            image_id = self._ids.new()
            object_key = rules.public_key(category, image_id, rules.content_type_of(key))
            rows.append(
                Image(
                    id=image_id,
                    owner_id=owner_id,
                    upload_key=key,
                    object_key=object_key,
                    created_at=now,
                    unused_since=now,
                )
            )
        # Before anything is written to S3: whatever happens from here on, the collector knows of it.
        await self._database.write(partial(store.add, rows=rows))
        jobs = [storage.run(partial(_publish, storage.objects, row.upload_key, row.object_key)) for row in rows]
        return dict(zip(keys, await asyncio.gather(*jobs), strict=True))


def attach(connection: Connection, keys: Iterable[str], *, owner_id: str, now: datetime) -> None:
    """Keep published images for good; within the transaction that refers to them. Raises Unavailable.

    That is when the collector took one that was unused for a day in this very moment; sent again, the request finds
    that out in time.
    """
    if (image_ids := _ids_of(keys)) and not store.claim(connection, owner_id, image_ids, now):
        raise Unavailable


def detach(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Note that something ceased to refer to these images; within the transaction in which it does.

    Those that nothing else refers to are taken down within seconds (`Takedown`).
    """
    store.release(connection, _ids_of(keys), now)


def withhold(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Keep everybody from loading these images; within the transaction that hides what shows them."""
    store.withhold(connection, _ids_of(keys), now, now)


def restore(connection: Connection, keys: Iterable[str], now: datetime) -> None:
    """Let everybody load these images again; within the transaction that shows what they belong to."""
    store.withhold(connection, _ids_of(keys), None, now)


def _publish(objects: Objects, upload_key: str, object_key: str) -> str | _Refused:
    """Write what is to be shown of an upload, in one go: its bytes are held by one thread, and no longer."""
    try:
        published = checking.publish(objects, upload_key, object_key)
    except TooLargeError:
        return _Refused(_TOO_LARGE)
    except pictures.TooManyPixelsError:
        return _Refused(_TOO_MANY_PIXELS)
    except pictures.NotAPictureError as error:
        log.info("uploads.refused", extra={"upload_key": upload_key, "error": str(error)})
        return _Refused(_NOT_A_PICTURE)
    return object_key if published else _Refused(_UNCONFIRMED)


def _may_use(key: str, category: Category, owner_id: str) -> bool:
    return rules.is_upload(key, category, owner_id) or rules.public_id(key, category) is not None


def _ids_of(keys: Iterable[str]) -> Collection[str]:
    """Return the ids in keys of published images."""
    return {key.rpartition("/")[2].partition(".")[0] for key in keys}
