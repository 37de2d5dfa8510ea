"""Tables of login sessions."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, short_bytes, ulid

ACCESS_SIGN_UP = "SIGN_UP"
ACCESS_LOG_IN = "LOG_IN"


class AuthSession(SQLModel, table=True):
    """One login on one device: a family of refresh tokens. Its id is the `sid` of the access tokens.

    `last_used_at` is the last login or refresh; sessions begun before the column existed have none until they refresh.
    """

    __tablename__: ClassVar[str] = "auth_sessions"
    __table_args__ = (
        Index("ix_auth_sessions_user", "user_id"),
        Index("ix_auth_sessions_last_used", "last_used_at"),
        Index("ix_auth_sessions_revoked", "revoked_at"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_auth_sessions_user"), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    revoked_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    last_used_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    user_agent: str | None = Field(default=None, sa_column=Column(ascii_text(255)))


class AccessEntry(SQLModel, table=True):
    """Who signed up or logged in from where, kept as long as the law demands. No foreign key: it outlives the account.

    The time is the id's.
    """

    __tablename__: ClassVar[str] = "access_log"
    __table_args__ = (Index("ix_access_log_user", "user_id", "id"), TABLE_OPTIONS)

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), nullable=False))
    act: str = Field(sa_column=Column(ascii_text(8), nullable=False))
    address: str = Field(sa_column=Column(ascii_text(45), nullable=False))


class RefreshToken(SQLModel, table=True):
    """One refresh token, by the SHA-256 of its value.

    `sealed_successor` is the next token, encrypted under a key that only the holder of this one can derive: within the
    grace the same successor can be given again although no usable token is stored.
    """

    __tablename__: ClassVar[str] = "refresh_tokens"
    __table_args__ = (Index("ix_refresh_tokens_session", "session_id", "rotated_at"), TABLE_OPTIONS)

    token_hash: str = Field(sa_column=Column(ascii_text(64), primary_key=True))
    session_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("auth_sessions.id", name="fk_refresh_tokens_session"), nullable=False)
    )
    expires_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    rotated_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    sealed_successor: bytes | None = Field(default=None, sa_column=Column(short_bytes(255)))
