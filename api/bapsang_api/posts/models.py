"""Tables of posts."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, Integer, String
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, Listed, UtcDateTime, ascii_text, changed_at, long_text, ulid

STATUS_ACTIVE = "ACTIVE"
STATUS_HIDDEN = "HIDDEN"
STATUS_DELETED = "DELETED"
# Held back by the rules of `holding`: only its author sees it, until a moderator has looked at it.
STATUS_HELD = "HELD"
# In the `info` of a column that holds an author's own words or pictures: what it holds once they are erased.
ERASED = "erased"


class Post(SQLModel, table=True):
    """What lists need of a post. `post_status` is ACTIVE, DELETED, HIDDEN or HELD; the counts are written in batches."""

    __tablename__: ClassVar[str] = "posts"
    __table_args__ = (
        # The feed's keyset; newest first is this index read backwards.
        Index("ix_posts_feed", "post_status", "created_at", "id"),
        Index("ix_posts_user", "user_id", "created_at"),
        # The same of one author's visible ones.
        Index("ix_posts_author", "user_id", "post_status", "created_at", "id"),
        Index("ix_posts_changed", "changed_at"),
        Index("ix_posts_deleted", "deleted_at", "id"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_posts_user"), nullable=False))
    title: str = Field(sa_column=Column(String(255), nullable=False, info={ERASED: ""}))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    updated_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Since when it is deleted; null again once its words and likes are destroyed.
    deleted_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    view_count: int = Field(default=0, sa_column=Column(Integer(), nullable=False))
    like_count: int = Field(default=0, sa_column=Column(Integer(), nullable=False))
    comment_count: int = Field(default=0, sa_column=Column(Integer(), nullable=False))
    post_status: str = Field(default=STATUS_ACTIVE, sa_column=Column(ascii_text(16), nullable=False))
    tags: tuple[str, ...] = Field(
        default=(), sa_column=Column(Listed(209), info={ERASED: ()})
    )  # as they are shown, in their order
    changed_at: datetime | None = Field(default=None, sa_column=changed_at())
    # Grows with each change of the post's comments, so that the change feed tells which pages of them are outdated.
    comment_version: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
    # Grows when the variants of one of its pictures are made, or refused: what is kept of the post is outdated then.
    picture_version: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
    # The entry of the audit log with which all of the author's were hidden; null where this one was by itself.
    hidden_by: str | None = Field(default=None, sa_column=Column(ulid()))
    # Since when it is held back, and by which rule. Equal to `created_at` where it was never published.
    held_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    held_for: str | None = Field(default=None, sa_column=Column(ascii_text(8)))
    # Of its words, for posts of new accounts: by it the same text is found again.
    text_digest: str | None = Field(default=None, sa_column=Column(ascii_text(32), info={ERASED: None}))


class PostContent(SQLModel, table=True):
    """What only the detail needs, apart from the rows that lists scan."""

    __tablename__: ClassVar[str] = "post_contents"
    __table_args__ = (TABLE_OPTIONS,)

    id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_post_contents_post"), primary_key=True))
    content: str = Field(sa_column=Column(long_text(), nullable=False, info={ERASED: ""}))
    post_image_key: str | None = Field(default=None, sa_column=Column(ascii_text(255), info={ERASED: None}))


class PostImage(SQLModel, table=True):
    """A picture of a post, in the order of `position` from 0. The first is also in `post_contents`, where lists look."""

    __tablename__: ClassVar[str] = "post_images"
    __table_args__ = (Index("ix_post_images_object", "object_key"), TABLE_OPTIONS)

    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_post_images_post"), primary_key=True))
    position: int = Field(sa_column=Column(Integer(), primary_key=True, autoincrement=False))
    object_key: str = Field(sa_column=Column(ascii_text(255), nullable=False))
    alt: str | None = Field(default=None, sa_column=Column(String(200)))
