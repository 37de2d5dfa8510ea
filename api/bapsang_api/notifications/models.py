"""Tables of notifications, without foreign keys: checking one locks the user's row, which who follows or withdraws locks first."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, Integer, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid


class Inbox(SQLModel, table=True):
    """Somebody's inbox. Who writes to it locks this row, so that `last_number` is given in the order of commits."""

    __tablename__: ClassVar[str] = "inboxes"
    __table_args__ = (TABLE_OPTIONS,)

    user_id: str = Field(sa_column=Column(ulid(), primary_key=True))
    last_number: int = Field(default=0, sa_column=Column(Integer(), nullable=False))
    muted_kinds: str = Field(default="", sa_column=Column(ascii_text(128), nullable=False))


class Notification(SQLModel, table=True):
    """One thing that somebody is told of. `number` counts within the inbox and is the id of the event.

    `bundle` says what it is about, once an inbox: the same thing told again moves the row to the end.
    """

    __tablename__: ClassVar[str] = "notifications"
    __table_args__ = (
        UniqueConstraint("user_id", "bundle", name="uq_notifications_bundle"),
        Index("ix_notifications_unread", "user_id", "read_at"),
        Index("ix_notifications_post", "post_id"),
        Index("ix_notifications_actor", "actor_id"),
        Index("ix_notifications_created", "created_at"),
        TABLE_OPTIONS,
    )

    user_id: str = Field(sa_column=Column(ulid(), primary_key=True))
    number: int = Field(sa_column=Column(Integer(), primary_key=True, autoincrement=False))
    kind: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    actor_id: str | None = Field(default=None, sa_column=Column(ulid()))
    post_id: str | None = Field(default=None, sa_column=Column(ulid()))
    comment_id: str | None = Field(default=None, sa_column=Column(ulid()))
    bundle: str = Field(sa_column=Column(ascii_text(64), nullable=False))
    detail: str | None = Field(default=None, sa_column=Column(String(255)))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    read_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
