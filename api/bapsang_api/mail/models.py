"""Tables of the outbox, and of addresses that take no mail."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, Integer
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, short_bytes, ulid


class Mail(SQLModel, table=True):
    """A letter to be sent. Its id makes the Message-ID; `sealed` holds what the template shows, encrypted, until it is sent.

    `due_at` is when it is tried next, null once it is sent or given up; `address` and `sealed` are then, too. By the hash of the
    address, which stays, a server's word that it does not exist is traced back to it. No foreign key: it may outlive the account.
    """

    __tablename__: ClassVar[str] = "mail_outbox"
    __table_args__ = (
        Index("ix_mail_outbox_due", "due_at", "id"),
        Index("ix_mail_outbox_user", "user_id", "id"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str | None = Field(default=None, sa_column=Column(ulid()))
    letter: str = Field(sa_column=Column(ascii_text(24), nullable=False))
    address: str | None = Field(default=None, sa_column=Column(ascii_text(254)))
    address_hash: str = Field(sa_column=Column(ascii_text(64), nullable=False))
    sealed: bytes | None = Field(default=None, sa_column=Column(short_bytes(2048)))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    due_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    leased_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    attempts: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
    sent_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))


class Undeliverable(SQLModel, table=True):
    """An address that takes no mail, by the hash of it: it bounced, or who reads there complained. Counts for a while."""

    __tablename__: ClassVar[str] = "mail_undeliverable"
    __table_args__ = (Index("ix_mail_undeliverable_marked", "marked_at"), TABLE_OPTIONS)

    address_hash: str = Field(sa_column=Column(ascii_text(64), primary_key=True))
    reason: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    marked_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
