"""Tables of people among each other."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid


class Follow(SQLModel, table=True):
    """`follower_id` follows `followed_id`."""

    __tablename__: ClassVar[str] = "follows"
    __table_args__ = (
        Index("ix_follows_follower", "follower_id", "created_at", "followed_id"),
        Index("ix_follows_followed", "followed_id", "created_at", "follower_id"),
        TABLE_OPTIONS,
    )

    follower_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_follows_follower"), primary_key=True)
    )
    followed_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_follows_followed"), primary_key=True)
    )
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class Reason(StrEnum):
    """Why a viewer does not see somebody."""

    BLOCKS = "BLOCKS"  # the viewer has blocked them
    BLOCKED_BY = "BLOCKED_BY"  # they have blocked the viewer
    MUTES = "MUTES"  # the viewer has muted them


class HiddenPerson(SQLModel, table=True):
    """`viewer_id` does not see `hidden_id`, for one reason. A block is two rows, one each way, so that a look takes one range."""

    __tablename__: ClassVar[str] = "hidden_people"
    __table_args__ = (
        Index("ix_hidden_people_hidden", "hidden_id"),
        Index("ix_hidden_people_listed", "viewer_id", "reason", "created_at", "hidden_id"),
        TABLE_OPTIONS,
    )

    viewer_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_hidden_people_viewer"), primary_key=True)
    )
    hidden_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_hidden_people_hidden"), primary_key=True)
    )
    reason: str = Field(sa_column=Column(ascii_text(12), primary_key=True))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))


class Bookmark(SQLModel, table=True):
    """A post that somebody keeps for later."""

    __tablename__: ClassVar[str] = "bookmarks"
    __table_args__ = (
        Index("ix_bookmarks_user", "user_id", "created_at", "post_id"),
        Index("ix_bookmarks_post", "post_id"),
        TABLE_OPTIONS,
    )

    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_bookmarks_user"), primary_key=True))
    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_bookmarks_post"), primary_key=True))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
