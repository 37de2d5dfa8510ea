"""Tables of accounts."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, Integer
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, caseless, changed_at, ulid

ROLE_USER = "USER"
ROLE_ADMIN = "ADMIN"
STATUS_ACTIVE = "ACTIVE"
STATUS_BLOCKED = "BLOCKED"
STATUS_DELETED = "DELETED"
PROVIDER_LOCAL = "LOCAL"


class User(SQLModel, table=True):
    """One person. `user_status` is ACTIVE, DELETED or BLOCKED; `user_role` USER or ADMIN."""

    __tablename__: ClassVar[str] = "users"
    __table_args__ = (
        Index("uq_users_nickname", "nickname", unique=True),
        Index("ix_users_changed", "changed_at"),
        Index("ix_users_created", "created_at", "id"),
        Index("ix_users_suspended", "suspended_until"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    nickname: str = Field(sa_column=Column(caseless(10), nullable=False))
    profile_image_key: str | None = Field(default=None, sa_column=Column(ascii_text(255)))
    user_role: str = Field(default=ROLE_USER, sa_column=Column(ascii_text(16), nullable=False))
    user_status: str = Field(default=STATUS_ACTIVE, sa_column=Column(ascii_text(16), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    updated_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    deleted_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    changed_at: datetime | None = Field(default=None, sa_column=changed_at())
    # Counts the changes of whom somebody does not see, 0 for who has always seen everybody. With it `changed_at` moves.
    people_version: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
    # How many follow them, changed with the rows of `follows`; `changed_at` stays, because nothing that is kept shows it.
    follower_count: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
    # Until when an ACTIVE account cannot be used; a time that has passed counts for nothing.
    suspended_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))


class UserConsent(SQLModel, table=True):
    """What somebody agreed to at sign-up, a row a document. `version` is null where the client did not ask."""

    __tablename__: ClassVar[str] = "user_consents"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_user_consents_user"), primary_key=True)
    )
    document: str = Field(sa_column=Column(ascii_text(24), primary_key=True))
    version: str | None = Field(default=None, sa_column=Column(ascii_text(16)))
    recorded_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class Extent(StrEnum):
    """How much of a person goes: the name by a withdrawal, every trace of it, or all that they wrote as well."""

    NAME = "NAME"
    TRACES = "TRACES"
    WORDS = "WORDS"


class Erasure(SQLModel, table=True):
    """Somebody who has withdrawn or was erased. Written to the bucket as well (`journaled_at`), which a backup of this
    database does not set back. No foreign key: it outlives everything."""

    __tablename__: ClassVar[str] = "erasures"
    __table_args__ = (Index("ix_erasures_journaled", "journaled_at", "id"), TABLE_OPTIONS)

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), nullable=False))
    extent: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    journaled_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))


class UserNumber(SQLModel, table=True):
    """A user's number, given at the first need: a small integer that stands for the id where memory counts.

    In a table of its own, because a column that counts by itself cannot be added to a table that is being written to.
    """

    __tablename__: ClassVar[str] = "user_numbers"
    __table_args__ = (Index("uq_user_numbers_user", "user_id", unique=True), TABLE_OPTIONS)

    number: int | None = Field(default=None, sa_column=Column(Integer(), primary_key=True, autoincrement=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_user_numbers_user"), nullable=False))


class UserAuth(SQLModel, table=True):
    """How a user logs in: with an e-mail and a password (LOCAL), or later through another provider.

    `verify_by`: then an account goes that was asked to verify its address and did nothing, not even log in; null for all others.
    For a while after a withdrawal the hash of the old e-mail stays, so that a login with it can be told why it fails.
    """

    __tablename__: ClassVar[str] = "user_auth"
    __table_args__ = (
        Index("uq_user_auth_email", "email", unique=True),
        Index("ix_user_auth_user", "user_id"),
        Index("ix_user_auth_withdrawn_email", "withdrawn_email_hash"),
        Index("ix_user_auth_withdrawn_at", "withdrawn_at"),
        Index("ix_user_auth_verify_by", "verify_by"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_user_auth_user"), nullable=False))
    password_hash: str | None = Field(default=None, sa_column=Column(ascii_text(255)))
    provider: str = Field(default=PROVIDER_LOCAL, sa_column=Column(ascii_text(16), nullable=False))
    email: str = Field(sa_column=Column(caseless(254), nullable=False))
    withdrawn_email_hash: str | None = Field(default=None, sa_column=Column(ascii_text(64)))
    withdrawn_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    email_verified_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    verify_by: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
