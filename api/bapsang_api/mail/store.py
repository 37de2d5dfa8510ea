"""Every SQL statement on the outbox, and on the addresses that take no mail.

A letter is claimed by a lease, and `attempts` tells the claim from any later one. Who is killed leaves a letter that is due again
when the lease ends.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, delete, func, insert, select, update

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.text import folded
from bapsang_api.mail.models import Mail, Undeliverable

mail_outbox = table_of(Mail)
mail_undeliverable = table_of(Undeliverable)


class Mark(StrEnum):
    """Why an address takes no mail."""

    REFUSED = "REFUSED"  # by the server it was handed to
    BOUNCED = "BOUNCED"  # reported later
    COMPLAINED = "COMPLAINED"  # who reads there called it spam


@dataclass(frozen=True)
class Job:
    """A letter to be sent, as claimed."""

    mail_id: str
    letter: str
    address: str
    address_hash: str
    sealed: bytes
    created_at: datetime
    attempts: int
    until: datetime  # from then on it may be another's


@dataclass(frozen=True)
class Sent:
    """To whom a letter was written, and when."""

    address_hash: str
    created_at: datetime


@dataclass(frozen=True)
class Backlog:
    """How many letters there are to be sent, and since when the oldest of them is due."""

    letters: int
    oldest: datetime | None


def hash_of(address: str) -> str:
    """Return the hash by which an address is known once it is not kept: the same for every case of its letters."""
    return hashlib.sha256(folded(address).encode("utf-8", "surrogatepass")).hexdigest()


def add(connection: Connection, mail: Mail) -> None:
    connection.execute(insert(mail_outbox), mail.model_dump())


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether any letter is to be sent now."""
    return connection.scalar(select(mail_outbox.c.id).where(mail_outbox.c.due_at <= now).limit(1)) is not None


def claim(connection: Connection, now: datetime, until: datetime) -> Job | None:
    """Claim the letter that is due for the longest time until a moment; None when none is due.

    Two that claim at the same moment get different letters.
    """
    columns = mail_outbox.c
    row = connection.execute(
        select(
            columns.id,
            columns.letter,
            columns.address,
            columns.address_hash,
            columns.sealed,
            columns.created_at,
            columns.attempts + 1,
        )
        .where(columns.due_at <= now)
        .order_by(columns.due_at, columns.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    job = Job(*row, until)
    values = {"due_at": until, "leased_until": until, "attempts": job.attempts}
    connection.execute(update(mail_outbox).where(columns.id == job.mail_id).values(values))
    return job


def finish(connection: Connection, job: Job, sent_at: datetime | None) -> bool:
    """Note that a letter was sent, or (None) is given up; False when another has noted so. What it says goes, and to whom."""
    return _update(connection, job, sent_at=sent_at, due_at=None, leased_until=None, sealed=None, address=None)


def is_sent(connection: Connection, mail_id: str) -> bool:
    sent = mail_outbox.c.id == mail_id, mail_outbox.c.sent_at.is_not(None)
    return connection.scalar(select(mail_outbox.c.id).where(*sent)) is not None


def give_up_before(connection: Connection, first_id: str, limit: int) -> int:
    """Give up to `limit` letters up with ids lower than that one, where no worker does; return how many."""
    columns = mail_outbox.c
    late = select(columns.id).where(columns.due_at.is_not(None), columns.id < first_id).limit(limit)
    found = list(connection.scalars(late))
    values = {"due_at": None, "leased_until": None, "sealed": None, "address": None}
    connection.execute(update(mail_outbox).where(columns.id.in_(found)).values(values))
    return len(found)


def postpone(connection: Connection, job: Job, due_at: datetime) -> bool:
    """Give a letter back, to be claimed again from a moment on; False when it is no longer the caller's."""
    return _update(connection, job, due_at=due_at, leased_until=None)


def _update(connection: Connection, job: Job, **values: object) -> bool:
    # Not by the time of the lease: a letter that was sent is sent, unless somebody else has begun to send it meanwhile.
    mine = mail_outbox.c.id == job.mail_id, mail_outbox.c.attempts == job.attempts, mail_outbox.c.due_at.is_not(None)
    return connection.execute(update(mail_outbox).where(*mine).values(values)).rowcount == 1


def backlog(connection: Connection) -> Backlog:
    due_at = mail_outbox.c.due_at
    return Backlog(*connection.execute(select(func.count(), func.min(due_at)).where(due_at.is_not(None))).one())


def oldest_due(connection: Connection) -> datetime | None:
    """Return since when the oldest letter is due, or from when on: the first entry of an index."""
    found: datetime | None = connection.scalar(select(func.min(mail_outbox.c.due_at)))
    return found


def forget(connection: Connection, user_id: str) -> None:
    """Delete the letters of somebody, those that are still to be sent too, and the marks of the addresses they went to."""
    theirs = mail_outbox.c.user_id == user_id
    hashes = set(connection.scalars(select(mail_outbox.c.address_hash).where(theirs)))
    connection.execute(delete(mail_undeliverable).where(mail_undeliverable.c.address_hash.in_(hashes)))
    connection.execute(delete(mail_outbox).where(theirs))


def sent_to(connection: Connection, mail_id: str) -> Sent | None:
    """Return to whom and when a letter was written; None for a letter that there is not (any more)."""
    columns = mail_outbox.c
    row = connection.execute(
        select(columns.address_hash, columns.created_at).where(columns.id == mail_id)
    ).one_or_none()
    return Sent(*row) if row is not None else None


def mark(connection: Connection, address_hash: str, reason: Mark, at: datetime) -> None:
    """Have an address take no mail from a moment on; one that was marked later stays as it is."""
    columns = mail_undeliverable.c
    connection.execute(delete(mail_undeliverable).where(columns.address_hash == address_hash, columns.marked_at < at))
    if connection.scalar(select(columns.reason).where(columns.address_hash == address_hash)) is None:
        row = {"address_hash": address_hash, "reason": reason, "marked_at": at}
        connection.execute(insert(mail_undeliverable), row)


def unmark(connection: Connection, address_hash: str) -> None:
    connection.execute(delete(mail_undeliverable).where(mail_undeliverable.c.address_hash == address_hash))


def is_marked(connection: Connection, address_hash: str, since: datetime) -> bool:
    """Whether an address was marked later than a moment."""
    marked = mail_undeliverable.c.address_hash == address_hash, mail_undeliverable.c.marked_at > since
    return connection.scalar(select(mail_undeliverable.c.address_hash).where(*marked)) is not None


def purge_marks(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` marks that were made before a moment; return how many."""
    columns = mail_undeliverable.c
    old = list(connection.scalars(select(columns.address_hash).where(columns.marked_at < before).limit(limit)))
    connection.execute(delete(mail_undeliverable).where(columns.address_hash.in_(old)))
    return len(old)


def count_since(connection: Connection, user_id: str, first_id: str, most: int) -> int:
    """Return how many letters to an account were written since the moment of an id; it stops counting at `most`."""
    found = select(mail_outbox.c.id).where(mail_outbox.c.user_id == user_id, mail_outbox.c.id >= first_id).limit(most)
    return len(connection.execute(found).all())
