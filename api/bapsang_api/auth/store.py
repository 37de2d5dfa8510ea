"""Every SQL statement and Redis key of login sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast

from redis.asyncio import Redis
from sqlalchemy import Connection, and_, bindparam, case, delete, exists, func, insert, or_, select, update

from bapsang_api.auth.models import ACCESS_LOG_IN, AccessEntry, AuthSession, RefreshToken
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.security.tokens import LIFETIME
from bapsang_api.users.models import STATUS_ACTIVE, User, UserNumber

sessions = table_of(AuthSession)
tokens = table_of(RefreshToken)
users = table_of(User)
user_numbers = table_of(UserNumber)
access_log = table_of(AccessEntry)

REVOKED_STREAM: Final = "auth:revoked"
_last_use = func.coalesce(sessions.c.last_used_at, sessions.c.created_at)


@dataclass(frozen=True)
class Family:
    """A login session, locked until the end of the transaction. `number` is the user's, None without one."""

    session_id: str
    created_at: datetime
    user_id: str
    role: str
    number: int | None
    usable: bool  # not revoked, and its user is active and not suspended


@dataclass(frozen=True)
class Device:
    """A login session as its owner sees it."""

    session_id: str
    created_at: datetime
    last_used_at: datetime
    user_agent: str | None


@dataclass(frozen=True)
class StoredToken:
    """A refresh token as it is kept."""

    expires_at: datetime
    rotated_at: datetime | None
    sealed_successor: bytes | None


def add_session(connection: Connection, family: AuthSession, first: RefreshToken) -> None:
    connection.execute(insert(sessions), family.model_dump())
    add_token(connection, first)


def add_access(connection: Connection, entry: AccessEntry) -> None:
    connection.execute(insert(access_log), entry.model_dump())


def add_token(connection: Connection, token: RefreshToken) -> None:
    connection.execute(insert(tokens), token.model_dump())


def session_of(connection: Connection, token_hash: str) -> str | None:
    """Return the id of the session that a refresh token belongs to, revoked or not."""
    return connection.scalar(select(tokens.c.session_id).where(tokens.c.token_hash == token_hash))


_FAMILY: Final = (
    select(
        sessions.c.id,
        sessions.c.created_at,
        sessions.c.user_id,
        users.c.user_role,
        user_numbers.c.number,
        sessions.c.revoked_at,
        users.c.user_status,
        users.c.suspended_until,
    )
    .join_from(tokens, sessions, sessions.c.id == tokens.c.session_id)
    .join(users, users.c.id == sessions.c.user_id)
    .outerjoin(user_numbers, user_numbers.c.user_id == sessions.c.user_id)
    .where(tokens.c.token_hash == bindparam("token_hash"))
    .with_for_update(of=sessions)
)


def lock_family(connection: Connection, token_hash: str, now: datetime) -> Family | None:
    """Return the session that a refresh token belongs to and lock its row; None without one.

    Everything that changes a family takes this one lock first: no deadlocks.
    """
    row = connection.execute(_FAMILY, {"token_hash": token_hash}).one_or_none()
    if row is None:
        return None
    suspended = row.suspended_until is not None and row.suspended_until > now
    return Family(*row[:5], row.revoked_at is None and row.user_status == STATUS_ACTIVE and not suspended)


def token_of(connection: Connection, token_hash: str) -> StoredToken | None:
    row = connection.execute(
        select(tokens.c.expires_at, tokens.c.rotated_at, tokens.c.sealed_successor).where(
            tokens.c.token_hash == token_hash
        )
    ).one_or_none()
    return None if row is None else StoredToken(*row)


def links_of(connection: Connection, session_id: str, *, rotated_since: datetime) -> dict[str, StoredToken]:
    """Return a family's tokens, by their hashes, that were rotated out since then or not at all: two ranges of one index."""
    rows = connection.execute(
        select(tokens.c.token_hash, tokens.c.expires_at, tokens.c.rotated_at, tokens.c.sealed_successor).where(
            tokens.c.session_id == session_id,
            or_(tokens.c.rotated_at.is_(None), tokens.c.rotated_at >= rotated_since),
        )
    )
    return {token_hash: StoredToken(*row) for token_hash, *row in rows}


def mark_used(connection: Connection, session_id: str, now: datetime) -> None:
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(last_used_at=now))


_ROTATED: Final = tokens.c.token_hash == bindparam("rotated")
_OVER: Final = and_(tokens.c.rotated_at < bindparam("grace_over_by"), tokens.c.sealed_successor.is_not(None))
_ROTATE: Final = (
    update(tokens)
    .where(tokens.c.session_id == bindparam("of_session"), or_(_ROTATED, _OVER))
    .values(
        sealed_successor=case((_ROTATED, bindparam("sealed", type_=tokens.c.sealed_successor.type)), else_=None),
        rotated_at=case((_ROTATED, bindparam("now", type_=tokens.c.rotated_at.type)), else_=tokens.c.rotated_at),
    )
)


def rotate(
    connection: Connection,
    session_id: str,
    token_hash: str,
    *,
    now: datetime,
    sealed_successor: bytes,
    grace_over_by: datetime,
) -> None:
    """Rotate a token out, and drop the family's sealed successors that may no longer be given."""
    given = {"rotated": token_hash, "of_session": session_id, "now": now, "sealed": sealed_successor}
    connection.execute(_ROTATE, {**given, "grace_over_by": grace_over_by})


def drop_expired(connection: Connection, session_id: str, expired_by: datetime) -> None:
    """Drop a family's expired tokens."""
    connection.execute(delete(tokens).where(tokens.c.session_id == session_id, tokens.c.expires_at < expired_by))


def revoke_sessions(connection: Connection, session_ids: Sequence[str], now: datetime) -> None:
    connection.execute(
        update(sessions).where(sessions.c.id.in_(session_ids), sessions.c.revoked_at.is_(None)).values(revoked_at=now)
    )


def revoked_since(connection: Connection, moment: datetime) -> list[tuple[str, datetime]]:
    """Return the sessions that were revoked after `moment`, and when, the first one first."""
    found = (
        select(sessions.c.id, sessions.c.revoked_at)
        .where(sessions.c.revoked_at > moment)
        .order_by(sessions.c.revoked_at)
    )
    return [(row.id, row.revoked_at) for row in connection.execute(found)]


def revoke_all(connection: Connection, user_id: str, now: datetime) -> list[str]:
    """Revoke all of a user's sessions and return those whose access tokens may still be unexpired.

    That includes the ones revoked a moment ago: when their announcement failed, doing all of it again makes up for it.
    """
    alive = or_(sessions.c.revoked_at.is_(None), sessions.c.revoked_at > now - LIFETIME)
    found = list(
        connection.scalars(select(sessions.c.id).where(sessions.c.user_id == user_id, alive).order_by(sessions.c.id))
    )
    connection.execute(
        update(sessions).where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    return found


def devices_of(connection: Connection, user_id: str, used_after: datetime, limit: int) -> list[Device]:
    """Return a user's sessions that can still be refreshed, the most recently used first."""
    rows = connection.execute(
        select(sessions.c.id, sessions.c.created_at, _last_use, sessions.c.user_agent)
        .where(sessions.c.user_id == user_id, sessions.c.revoked_at.is_(None), _last_use > used_after)
        .order_by(_last_use.desc(), sessions.c.id.desc())
        .limit(limit)
    )
    return [Device(*row) for row in rows]


def has_logged_in(connection: Connection, user_id: str) -> bool:
    """Return whether a user has logged in before, as far as it is still known."""
    logged = exists().where(access_log.c.user_id == user_id, access_log.c.act == ACCESS_LOG_IN)
    return bool(connection.scalar(select(or_(logged, exists().where(sessions.c.user_id == user_id)))))


def used_agent(connection: Connection, user_id: str, user_agent: str | None, since: datetime) -> bool:
    """Return whether a user was logged in since then with a device that calls itself so."""
    alike = sessions.c.user_id == user_id, sessions.c.user_agent == user_agent, _last_use > since
    return bool(connection.scalar(select(exists().where(*alike))))


def addresses_of(connection: Connection, user_id: str, first_id: str, limit: int) -> list[str]:
    """Return the addresses that a user logged in from since the moment of an id, the last ones first."""
    entries = select(access_log.c.address).where(access_log.c.user_id == user_id, access_log.c.id >= first_id)
    logins = entries.where(access_log.c.act == ACCESS_LOG_IN).order_by(access_log.c.id.desc())
    return list(connection.scalars(logins.limit(limit)))


def owns_session(connection: Connection, user_id: str, session_id: str) -> bool:
    return bool(connection.scalar(select(exists().where(sessions.c.id == session_id, sessions.c.user_id == user_id))))


def purge(connection: Connection, unused_since: datetime, now: datetime, limit: int) -> int:
    """Delete up to `limit` sessions that nobody can refresh any more, with their tokens; return how many.

    Rows that somebody else holds are left for the next time.
    """
    unused: Any = or_(
        sessions.c.last_used_at < unused_since,
        and_(sessions.c.last_used_at.is_(None), sessions.c.created_at < unused_since),
    )
    # An older image rotates tokens without noting the use, so the tokens have the last word.
    refreshable = exists().where(tokens.c.session_id == sessions.c.id, tokens.c.expires_at > now)
    found = list(
        connection.scalars(
            select(sessions.c.id)
            .where(unused, ~refreshable)
            .limit(limit)
            .with_for_update(of=sessions, skip_locked=True)
        )
    )
    if found:
        connection.execute(delete(tokens).where(tokens.c.session_id.in_(found)))
        connection.execute(delete(sessions).where(sessions.c.id.in_(found)))
    return len(found)


async def announce_revoked(redis: Redis, session_ids: Sequence[str], now: datetime) -> None:
    """Tell every replica. Entries are kept as long as an access token of the sessions can live."""
    oldest = int((now - LIFETIME).timestamp() * 1000)
    async with redis.pipeline(transaction=False) as pipeline:
        for session_id in session_ids:
            pipeline.xadd(REVOKED_STREAM, {"sid": session_id}, minid=oldest, approximate=True)
        await pipeline.execute()


async def revoked_after(redis: Redis, last_id: str | None) -> list[tuple[str, str]]:
    """Return (entry id, session id) of what was announced after `last_id`, everything kept when it is None."""
    entries = await redis.xrange(REVOKED_STREAM, min=f"({last_id}" if last_id else "-")
    return [(entry_id, fields["sid"]) for entry_id, fields in cast(list[tuple[str, dict[str, str]]], entries)]
