"""Use cases of uploads: allowing one, and making a picture that was uploaded one that can be shown.

What is uploaded is never shown itself. When it is used, it is looked at, copied to where nobody can change it, and put into the
queue of those that make variants of it (`worker`); pages load those.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import FieldError, InvalidInput, Unavailable
from bapsang_api.media import look
from bapsang_api.media.kinds import HEAD
from bapsang_api.media.messages import MESSAGES
from bapsang_api.media.verdict import Reason, Refused, Use
from bapsang_api.uploads import photo, queries, rules, store
from bapsang_api.uploads.models import Image
from bapsang_api.uploads.photo import Photo, State
from bapsang_api.uploads.rules import Category, Upload
from bapsang_api.uploads.s3 import ChangedError, Objects
from bapsang_api.uploads.schemas import ShownPhoto
from bapsang_api.uploads.storage import Storage

log = logging.getLogger(__name__)

#: Widths that the older fields of answers show, which know one URL alone: of lists, of details, of people.
LIST_WIDTH: Final = 640
DETAIL_WIDTH: Final = 1080
ZOOM_WIDTH: Final = 1600
PERSON_WIDTH: Final = 256
#: For how long a request waits for the verdict on its images.
WAIT_SECONDS: Final = 2.0
_ASK_SECONDS: Final = 0.1
_UNCONFIRMED: Final = "업로드가 확인되지 않은 이미지입니다."
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
class _Looked:
    """An upload as its first look finds it."""

    key: str
    etag: str
    photo: Photo


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

    @property
    def on(self) -> bool:
        """Whether there is a bucket."""
        return self._storage is not None

    def url(self, key: str | None, known: Photo | None, width: int, form: str = photo.WEBP) -> str | None:
        """Return the URL of a published image in a width, at least; None while there is none. It never changes."""
        if key is None or self._storage is None:
            return None
        if known is None:
            return self._storage.bucket.url(key)
        size = known.size_for(width)
        return None if size is None else self._url(key, size, form)

    def shown(self, key: str | None, known: Photo | None, most: int) -> ShownPhoto | None:
        """Return how an image is loaded in all widths up to `most`; None without an image."""
        if key is None or self._storage is None:
            return None
        if known is None:
            return ShownPhoto(state=State.READY, width=None, height=None, placeholder=None, color=None, srcset=None)
        sizes = (size for size in known.sizes if size.nominal <= most)
        srcset = ", ".join(f"{self._url(key, size, photo.WEBP)} {size.width}w" for size in sizes)
        return ShownPhoto(
            state=known.state,
            width=known.width,
            height=known.height,
            placeholder=known.placeholder,
            color=known.colour,
            srcset=srcset or None,
        )

    def _url(self, key: str, size: photo.Size, form: str) -> str:
        assert self._storage is not None  # noqa: S101 - who calls has looked
        return self._storage.bucket.url(f"{rules.folder_of(key)}/{size.nominal}.{form}")

    async def publish(self, named: Sequence[Named], *, owner_id: str, category: Category) -> list[str]:
        """Return the keys under which these images are published, in their order, for `attach` within an hour.

        Accepts keys of the owner's own uploads of the category, and of images published from such before. Waits for the
        verdict on new ones, but not for long: it may come later. Raises InvalidInput naming each field whose image cannot be
        used, Unavailable when S3 does not answer.
        """
        if not named:
            return []
        if self._storage is None:
            raise InvalidInput(*(FieldError(image.field, _UNCONFIRMED) for image in named))
        foreign = [image for image in named if not _may_use(image.key, category, owner_id)]
        if foreign:
            raise InvalidInput(*(FieldError(image.field, _UNCONFIRMED) for image in foreign))
        keys = list(dict.fromkeys(image.key for image in named))
        known, refused = await self._known(keys, owner_id, category)
        new = [key for key in keys if key not in known and key not in refused]
        looks = await self._looked_at(self._storage, new)
        refused |= {key: found for key, found in looks.items() if isinstance(found, str)}
        _require_none(named, refused)
        looked = [found for found in looks.values() if isinstance(found, _Looked)]
        made = await self._publish(self._storage, looked, owner_id, category)
        decided = await self._until_made([rules.image_id_of(key) for key in made.values()])
        reasons = ((key, decided.get(rules.image_id_of(object_key))) for key, object_key in made.items())
        _require_none(named, {key: MESSAGES[reason] for key, reason in reasons if reason is not None})
        return [(known | made)[image.key] for image in named]

    async def _known(
        self, keys: Sequence[str], owner_id: str, category: Category
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return what was published before by key, and why others cannot be used: an upload is looked at once, whatever
        it is overwritten with later.

        What another has published is refused, also a picture that another has signed up with.
        """
        ids = {key: image_id for key in keys if (image_id := rules.public_id(key, category)) is not None}
        found = await self._database.read(
            partial(store.published, upload_keys=[key for key in keys if key not in ids], image_ids=list(ids.values()))
        )
        known: dict[str, str] = {}
        refused = dict.fromkeys(ids, _UNCONFIRMED)
        for image in found:
            for key in {image.upload_key, image.object_key}.intersection(keys):
                if image.owner_id == owner_id:
                    known[key] = image.object_key
                    refused.pop(key, None)
                else:
                    refused[key] = _UNCONFIRMED
        return known, refused

    @staticmethod
    async def _looked_at(storage: Storage, keys: Sequence[str]) -> dict[str, _Looked | str]:
        """Return of each upload what its first look finds, or why it is refused."""
        jobs = [storage.run(partial(_look_at, storage.objects, key)) for key in keys]
        return dict(zip(keys, await asyncio.gather(*jobs), strict=True))

    async def _publish(
        self, storage: Storage, looked: Sequence[_Looked], owner_id: str, category: Category
    ) -> dict[str, str]:
        """Copy uploads to where they stay as they are, have their variants made, and return the key of each."""
        if not looked:
            return {}
        now = self._clock.now()
        rows = []
        for one in looked:
            image_id = self._ids.new()
            rows.append(
                Image(
                    id=image_id,
                    owner_id=owner_id,
                    upload_key=one.key,
                    object_key=rules.public_key(category, image_id),
                    created_at=now,
                    unused_since=now,
                    photo=one.photo,
                    etag=one.etag,
                )
            )
        # Before anything is written to S3: whatever happens from here on, the collector knows of it.
        await self._database.write(partial(store.add, rows=rows))
        jobs = [storage.run(partial(_keep, storage.objects, row)) for row in rows]
        await asyncio.gather(*jobs)
        await self._database.write(partial(queries.enqueue, image_ids=[row.id for row in rows], now=now))
        return {row.upload_key: row.object_key for row in rows}

    async def _until_made(self, image_ids: Sequence[str]) -> dict[str, Reason]:
        """Wait until the variants of these images are made or refused, but no longer than a request may; return the reason of
        each that is refused by then.
        """
        known: dict[str, Photo] = {}
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while image_ids:
                    known = await self._database.read(partial(queries.photos, image_ids=image_ids))
                    if all(found.state is not State.PENDING for found in known.values()):
                        break
                    await asyncio.sleep(_ASK_SECONDS)
        except TimeoutError:
            log.info("uploads.pending", extra={"images": len(image_ids)})
        return {image_id: found.reason for image_id, found in known.items() if found.reason is not None}


def _look_at(objects: Objects, key: str) -> _Looked | str:
    """Look at the beginning of an upload; return what it says, or why it is refused."""
    stored = objects.read_head(key, most=HEAD)
    if stored is None:
        return _UNCONFIRMED
    found = look.look(stored.content, stored.size)
    if isinstance(found, Refused):
        log.info("uploads.refused", extra={"upload_key": key, "reason": found.reason, "error": found.detail})
        return MESSAGES[found.reason]
    use = rules.use_of(key)
    return _Looked(key, stored.etag, photo.pending(found.width, found.height, use or Use.POST))


def _keep(objects: Objects, row: Image) -> None:
    """Copy the upload of an image to where its owner cannot change it any more. Raises Unavailable when it was just changed."""
    try:
        objects.copy_unchanged(row.upload_key, rules.original_key(row.id), row.etag or "")
    except ChangedError as error:
        raise Unavailable from error


def _require_none(named: Sequence[Named], refused: dict[str, str]) -> None:
    """Raise InvalidInput with the reason for each field whose image is refused."""
    if errors := [FieldError(image.field, refused[image.key]) for image in named if image.key in refused]:
        raise InvalidInput(*errors)


def _may_use(key: str, category: Category, owner_id: str) -> bool:
    return rules.is_upload(key, category, owner_id) or rules.public_id(key, category) is not None
