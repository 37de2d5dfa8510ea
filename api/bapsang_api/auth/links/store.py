"""Every SQL statement on one-time links, and on whether an address is verified."""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from bapsang_api.auth.links.models import AccountLink, LinkKind
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.users.models import User, UserAuth
from bapsang_api.users.store import EmailTakenError

links = table_of(AccountLink)
users = table_of(User)
user_auth = table_of(UserAuth)


def add(connection: Connection, link: AccountLink) -> None:
    connection.execute(insert(links), link.model_dump())


def link_of(connection: Connection, token_hash: str) -> AccountLink | None:
    row = connection.execute(select(links).where(links.c.token_hash == token_hash)).mappings().one_or_none()
    return None if row is None else AccountLink(**row)


def use(connection: Connection, token_hash: str, now: datetime) -> bool:
    """Use a link up, and lock its row; False when it was used, was ended or has expired."""
    fresh = links.c.used_at.is_(None), links.c.expires_at > now
    used = connection.execute(update(links).where(links.c.token_hash == token_hash, *fresh).values(used_at=now))
    return bool(used.rowcount)


def end(connection: Connection, user_id: str, *kinds: LinkKind) -> None:
    """End a user's links that are not used yet, of these kinds."""
    theirs = links.c.user_id == user_id, links.c.kind.in_(kinds), links.c.used_at.is_(None)
    connection.execute(delete(links).where(*theirs))


def forget(connection: Connection, user_id: str) -> None:
    """Delete all of a user's links, used ones too: each has an address."""
    connection.execute(delete(links).where(links.c.user_id == user_id))


def purge(connection: Connection, created_before: datetime, limit: int) -> int:
    """Delete up to `limit` links that were made before; return how many."""
    old = select(links.c.token_hash).where(links.c.created_at < created_before).order_by(links.c.created_at)
    found = list(connection.scalars(old.limit(limit)))
    if found:
        connection.execute(delete(links).where(links.c.token_hash.in_(found)))
    return len(found)


def set_email(connection: Connection, user_id: str, email: str, now: datetime) -> None:
    """Give an account another e-mail, which is verified. Raises EmailTakenError: the unique index decides."""
    try:
        connection.execute(update(user_auth).where(user_auth.c.user_id == user_id).values(email=email))
    except IntegrityError as error:
        raise EmailTakenError from error
    verified(connection, user_id, now)


def verified(connection: Connection, user_id: str, now: datetime) -> None:
    """Note that the e-mail of an account is its owner's."""
    theirs = user_auth.c.user_id == user_id
    connection.execute(update(user_auth).where(theirs).values(email_verified_at=now, verify_by=None))
    connection.execute(update(users).where(users.c.id == user_id).values(updated_at=now))  # the change feed polls users
    note(connection, user_id)


def keep(connection: Connection, user_id: str) -> None:
    """Note that an account stays, whether or not its e-mail is ever verified."""
    connection.execute(update(user_auth).where(user_auth.c.user_id == user_id).values(verify_by=None))


def unverified_by(connection: Connection, moment: datetime, limit: int) -> list[str]:
    """Return accounts that were to verify their e-mail before `moment`, the first due first."""
    due = select(user_auth.c.user_id).where(user_auth.c.verify_by < moment).order_by(user_auth.c.verify_by)
    return list(connection.scalars(due.limit(limit)))


def auth_ids_of(connection: Connection, user_id: str) -> list[str]:
    return list(connection.scalars(select(user_auth.c.id).where(user_auth.c.user_id == user_id)))
