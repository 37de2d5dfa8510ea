"""Tables of tags."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, Integer
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, caseless, ulid


class Tag(SQLModel, table=True):
    """A tag, spelled as whoever used it first did, and how many visible posts have it."""

    __tablename__: ClassVar[str] = "tags"
    __table_args__ = (Index("ix_tags_popular", "post_count", "name"), TABLE_OPTIONS)

    name: str = Field(sa_column=Column(caseless(20), primary_key=True))
    post_count: int = Field(sa_column=Column(Integer(), nullable=False))


class PostTag(SQLModel, table=True):
    """A tag of a visible post. The key is the keyset of a tag's list; `created_at` is the post's.

    Rows go when a post is hidden or deleted. What the post shows, and gets back, is its own column `tags`.
    """

    __tablename__: ClassVar[str] = "post_tags"
    __table_args__ = (Index("ix_post_tags_post", "post_id"), TABLE_OPTIONS)

    tag: str = Field(sa_column=Column(caseless(20), primary_key=True))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), primary_key=True))
    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_post_tags_post"), primary_key=True))
