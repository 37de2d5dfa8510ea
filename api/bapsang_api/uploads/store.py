"""Every SQL statement on images."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.views import looked_up
from bapsang_api.uploads.models import Image

images = table_of(Image)


def photo_of(key: ColumnElement[Any], *where: ColumnElement[bool], of: Any) -> ColumnElement[Any]:
    """Return what is known of the image that the column `key` names, for each row of the table `of`."""
    return looked_up(images.c.photo, and_(images.c.object_key == key, *where), of)


@dataclass(frozen=True)
class PublishedImage:
    """An image that can be used, by its owner."""

    owner_id: str
    upload_key: str
    object_key: str


@dataclass(frozen=True)
class UnusedImage:
    """An image that nothing refers to, as far as this table was told."""

    image_id: str
    owner_id: str
    object_key: str
    unused_since: datetime


@dataclass(frozen=True)
class DueImage:
    """An image whose object is not yet where it belongs, as was decided at `settle_at`."""

    image_id: str
    owner_id: str
    object_key: str
    unused_since: datetime | None
    withheld_at: datetime | None
    settle_at: datetime

    @property
    def as_unused(self) -> UnusedImage:
        return UnusedImage(self.image_id, self.owner_id, self.object_key, self.unused_since or self.settle_at)


def add(connection: Connection, rows: Sequence[Image]) -> None:
    connection.execute(insert(images), [{**row.model_dump(), "photo": row.photo} for row in rows])


def published(
    connection: Connection, *, upload_keys: Collection[str], image_ids: Collection[str]
) -> list[PublishedImage]:
    """Return those images that were used before, by the key of their upload or by their own id."""
    usable = (
        select(images.c.owner_id, images.c.upload_key, images.c.object_key)
        .where(images.c.confirmed_at.is_not(None), images.c.collected_at.is_(None), images.c.withheld_at.is_(None))
        .order_by(images.c.id)
    )
    found: list[PublishedImage] = []
    # Two statements, each with its own index, and mostly only one of them: an OR would leave the choice to chance.
    for column, values in ((images.c.upload_key, upload_keys), (images.c.id, image_ids)):
        if values:
            found += [PublishedImage(*row) for row in connection.execute(usable.where(column.in_(values)))]
    return found


def claim(connection: Connection, owner_id: str, image_ids: Collection[str], now: datetime) -> bool:
    """Mark images as used and keep them until the end of the transaction; False when one cannot be used any more."""
    found = connection.scalars(
        select(images.c.id)
        .where(images.c.id.in_(image_ids), images.c.owner_id == owner_id)
        .where(images.c.collected_at.is_(None), images.c.withheld_at.is_(None))
        .order_by(images.c.id)  # two writers never wait for each other in a circle
        .with_for_update()
    ).all()
    if set(found) != set(image_ids):
        return False
    connection.execute(
        update(images)
        .where(images.c.id.in_(found))
        .values(unused_since=None, confirmed_at=func.coalesce(images.c.confirmed_at, now))
    )
    return True


def release(connection: Connection, image_ids: Iterable[str], now: datetime) -> None:
    """Note that something ceased to refer to these images; unless something else does, they go at once."""
    for image_id in sorted(image_ids):
        connection.execute(update(images).where(images.c.id == image_id).values(unused_since=now, settle_at=now))


def withhold(connection: Connection, image_ids: Iterable[str], since: datetime | None, now: datetime) -> None:
    """Keep everybody from loading and using these images, or, with None, let them again."""
    for image_id in sorted(image_ids):
        connection.execute(update(images).where(images.c.id == image_id).values(withheld_at=since, settle_at=now))


def due(connection: Connection, limit: int, now: datetime) -> list[DueImage]:
    """Return and lock images whose objects are not where they belong, those that were decided on first.

    Not those that somebody is writing: what is moved or deleted now would be there again a moment later.
    """
    rows = connection.execute(
        select(
            images.c.id,
            images.c.owner_id,
            images.c.object_key,
            images.c.unused_since,
            images.c.withheld_at,
            images.c.settle_at,
        )
        .where(images.c.settle_at.is_not(None), _is_free(now))
        .order_by(images.c.settle_at, images.c.id)
        .limit(limit)
        .with_for_update()
    )
    return [DueImage(*row) for row in rows]


def any_due(connection: Connection, now: datetime) -> bool:
    """Return whether some object is not where it belongs, and nobody is writing it."""
    return bool(connection.scalar(select(exists().where(images.c.settle_at.is_not(None), _is_free(now)))))


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(images.c.leased_until.is_(None), images.c.leased_until < now)


def settled(connection: Connection, these: Iterable[DueImage], again_at: datetime | None) -> None:
    """Note that objects are where they belong, or, with a time, have to be tried again.

    Not of those for which something else was decided in the meantime.
    """
    for image in these:
        connection.execute(
            update(images)
            .where(images.c.id == image.image_id, images.c.settle_at == image.settle_at)
            .values(settle_at=again_at)
        )


def unused(
    connection: Connection, before: datetime, after: UnusedImage | None, limit: int, now: datetime, *, lock: bool
) -> list[UnusedImage]:
    """Return images unused since before a moment, in the order of that time, those that come after `after`.

    With `lock` nobody can begin to use them until the transaction ends; those that somebody is about to use are left
    out.
    """
    statement = (
        select(images.c.id, images.c.owner_id, images.c.object_key, images.c.unused_since)
        .where(images.c.unused_since < before, _is_free(now))
        .order_by(images.c.unused_since, images.c.id)
        .limit(limit)
    )
    if after is not None:
        later = and_(images.c.unused_since == after.unused_since, images.c.id > after.image_id)
        statement = statement.where(or_(images.c.unused_since > after.unused_since, later))
    rows = connection.execute(statement.with_for_update(skip_locked=True) if lock else statement)
    return [UnusedImage(*row) for row in rows]


def keep(connection: Connection, image_ids: Collection[str]) -> None:
    """Note that something does refer to these images."""
    connection.execute(update(images).where(images.c.id.in_(image_ids)).values(unused_since=None, settle_at=None))


def collect(connection: Connection, image_ids: Collection[str], now: datetime) -> None:
    """End the use of these images for good; their variants need not be made any more."""
    connection.execute(update(images).where(images.c.id.in_(image_ids)).values(collected_at=now, due_at=None))


def forget(connection: Connection, image_ids: Collection[str]) -> None:
    """Remove the rows of images whose objects are gone."""
    connection.execute(delete(images).where(images.c.id.in_(image_ids)))
