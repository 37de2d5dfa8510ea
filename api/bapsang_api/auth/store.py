"""Every SQL statement and Redis key of login sessions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from redis.asyncio import Redis
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from bapsang_api.auth.models import AuthSession, RefreshToken
from bapsang_api.kit.columns import table_of
from bapsang_api.kit.tokens import LIFETIME
from bapsang_api.users.models import STATUS_ACTIVE, User

sessions = table_of(AuthSession)
tokens = table_of(RefreshToken)
users = table_of(User)

REVOKED_STREAM: Final = "auth:revoked"


@dataclass(frozen=True)
class Family:
    """A login session, locked until the end of the transaction."""

    session_id: str
    user_id: str
    role: str
    usable: bool  # not revoked, and its user is active


@dataclass(frozen=True)
class StoredToken:
    """A refresh token as it is kept."""

    expires_at: datetime
    rotated_at: datetime | None
    sealed_successor: bytes | None


def add_session(session: Session, family: AuthSession, first: RefreshToken) -> None:
    session.add(family)
    session.flush()
    session.add(first)


def add_token(session: Session, token: RefreshToken) -> None:
    session.add(token)
    session.flush()


def session_of(session: Session, token_hash: str) -> str | None:
    """Return the id of the session that a refresh token belongs to, revoked or not."""
    return session.scalar(select(tokens.c.session_id).where(tokens.c.token_hash == token_hash))


def lock_family(session: Session, session_id: str) -> Family:
    """Return the session and lock its row. Everything that changes a family takes this one lock first: no deadlocks."""
    row = session.execute(
        select(sessions.c.id, sessions.c.user_id, sessions.c.revoked_at, users.c.user_role, users.c.user_status)
        .join(users, users.c.id == sessions.c.user_id)
        .where(sessions.c.id == session_id)
        .with_for_update(of=sessions)
    ).one()
    return Family(row.id, row.user_id, row.user_role, row.revoked_at is None and row.user_status == STATUS_ACTIVE)


def token_of(session: Session, token_hash: str) -> StoredToken | None:
    row = session.execute(
        select(tokens.c.expires_at, tokens.c.rotated_at, tokens.c.sealed_successor).where(
            tokens.c.token_hash == token_hash
        )
    ).one_or_none()
    return None if row is None else StoredToken(*row)


def mark_rotated(session: Session, token_hash: str, now: datetime, sealed_successor: bytes) -> None:
    session.execute(
        update(tokens)
        .where(tokens.c.token_hash == token_hash)
        .values(rotated_at=now, sealed_successor=sealed_successor)
    )


def tidy_family(session: Session, session_id: str, *, expired_by: datetime, grace_over_by: datetime) -> None:
    """Drop a family's expired tokens, and the sealed successors that may no longer be given."""
    session.execute(delete(tokens).where(tokens.c.session_id == session_id, tokens.c.expires_at < expired_by))
    session.execute(
        update(tokens)
        .where(tokens.c.session_id == session_id, tokens.c.rotated_at < grace_over_by)
        .values(sealed_successor=None)
    )


def revoke_session(session: Session, session_id: str, now: datetime) -> None:
    session.execute(
        update(sessions).where(sessions.c.id == session_id, sessions.c.revoked_at.is_(None)).values(revoked_at=now)
    )


async def announce_revoked(redis: Redis, session_id: str, now: datetime) -> None:
    """Tell every replica. Entries are kept as long as an access token of the session can live."""
    oldest = int((now - LIFETIME).timestamp() * 1000)
    await redis.xadd(REVOKED_STREAM, {"sid": session_id}, minid=oldest, approximate=True)


async def revoked_after(redis: Redis, last_id: str | None) -> list[tuple[str, str]]:
    """Return (entry id, session id) of what was announced after `last_id`, everything kept when it is None."""
    entries = await redis.xrange(REVOKED_STREAM, min=f"({last_id}" if last_id else "-")
    return [(entry_id, fields["sid"]) for entry_id, fields in cast(list[tuple[str, dict[str, str]]], entries)]
