"""The queue of images whose variants are to be made, in SQL: the rows of images are its jobs.

A job is claimed by a lease, and `attempts` tells the claim from any later one. Who loses the lease, or is killed, leaves a job
that is due again when the lease ends.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from bapsang_api.kit.db.columns import table_of
from bapsang_api.uploads.models import Image
from bapsang_api.uploads.photo import Photo

images = table_of(Image)


@dataclass(frozen=True)
class Job:
    """An image whose variants are to be made, as claimed."""

    image_id: str
    owner_id: str
    upload_key: str
    object_key: str
    etag: str | None  # None: it was published before there were variants, and is made of what is published
    photo: Photo | None
    attempts: int
    until: datetime  # from then on it is somebody else's, or takedown's


@dataclass(frozen=True)
class Backlog:
    """How many jobs there are, and since when the oldest that could be worked on is due."""

    jobs: int
    oldest: datetime | None


def enqueue(connection: Connection, image_ids: Collection[str], now: datetime) -> None:
    """Have the variants of these images made. Those that are in the queue already stay as they are, and whose they are."""
    new = images.c.id.in_(image_ids), images.c.due_at.is_(None)
    connection.execute(update(images).where(*new).values(due_at=now, attempts=0))


def claim(connection: Connection, now: datetime, until: datetime) -> Job | None:
    """Claim the job that is due for the longest time until a moment; None when none is due.

    Two that claim at the same moment get different jobs. What is withheld, or about to be deleted, is left alone.
    """
    row = connection.execute(
        select(
            images.c.id,
            images.c.owner_id,
            images.c.upload_key,
            images.c.object_key,
            images.c.etag,
            images.c.photo,
            images.c.attempts + 1,
        )
        .where(images.c.due_at <= now, images.c.withheld_at.is_(None), images.c.collected_at.is_(None))
        .where(images.c.settle_at.is_(None))
        .order_by(images.c.due_at, images.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    job = Job(*row, until)
    values = {"due_at": until, "leased_until": until, "attempts": job.attempts}
    connection.execute(update(images).where(images.c.id == job.image_id).values(values))
    return job


def finish(connection: Connection, job: Job, photo: Photo | None, now: datetime) -> bool:
    """Note what became of a job; False when it is no longer the caller's: then nothing is changed."""
    return _update(connection, job, now, photo=photo, due_at=None, leased_until=None)


def postpone(connection: Connection, job: Job, due_at: datetime, now: datetime, *, attempts: int) -> bool:
    """Give a job back, to be claimed again from a moment on; False when it is no longer the caller's."""
    return _update(connection, job, now, due_at=due_at, leased_until=None, attempts=attempts)


def _update(connection: Connection, job: Job, now: datetime, **values: object) -> bool:
    # A lease that is over: takedown may have moved the objects since, whether or not somebody else has claimed the job.
    mine = images.c.id == job.image_id, images.c.attempts == job.attempts, images.c.leased_until >= now
    return connection.execute(update(images).where(*mine).values(values)).rowcount == 1


def abandon(connection: Connection, image_id: str, now: datetime) -> bool:
    """Have the objects of a withheld image withheld again; return whether there is no image of this id any more."""
    withheld = images.c.id == image_id, images.c.withheld_at.is_not(None)
    connection.execute(update(images).where(*withheld).values(settle_at=now))
    left = select(images.c.id).where(images.c.id == image_id, images.c.collected_at.is_(None))
    return connection.scalar(left) is None


def photos(connection: Connection, image_ids: Collection[str]) -> dict[str, Photo]:
    """Return what is known of these images; of those that were published before there were variants, nothing."""
    rows = connection.execute(select(images.c.id, images.c.photo).where(images.c.id.in_(image_ids)))
    return {row.id: row.photo for row in rows if row.photo is not None}


def backlog(connection: Connection) -> Backlog:
    statement = select(func.count(), func.min(images.c.due_at)).where(*_to_be_made())
    return Backlog(*connection.execute(statement).one())


def waiting(connection: Connection, image_ids: Collection[str]) -> int:
    """Return how many of these are still to be made."""
    return connection.scalar(select(func.count()).where(images.c.id.in_(image_ids), *_to_be_made())) or 0


def _to_be_made() -> tuple[ColumnElement[bool], ...]:
    """What is withheld is made once it is shown again, so nobody waits for it."""
    return images.c.due_at.is_not(None), images.c.withheld_at.is_(None)


def without_variants(connection: Connection, after: str, limit: int) -> list[str]:
    """Return up to `limit` ids after `after` of images in use that were published before there were variants."""
    return list(connection.scalars(select(images.c.id).where(*_old(after)).order_by(images.c.id).limit(limit)))


def count_without_variants(connection: Connection, after: str) -> int:
    """Return how many such images come after `after`."""
    return connection.scalar(select(func.count()).where(*_old(after))) or 0


def _old(after: str) -> tuple[ColumnElement[bool], ...]:
    in_use = images.c.confirmed_at.is_not(None), images.c.collected_at.is_(None), images.c.withheld_at.is_(None)
    return images.c.id > after, images.c.photo.is_(None), *in_use
