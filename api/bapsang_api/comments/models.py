"""Table of comments."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, SmallInteger, String
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

STATUS_ACTIVE = "ACTIVE"
STATUS_DELETED = "DELETED"
STATUS_HIDDEN = "HIDDEN"


class Comment(SQLModel, table=True):
    """A comment or a reply.

    `comment_status` (ACTIVE, DELETED or HIDDEN) says what became of it, `listed` whether it is shown at all: when it is
    ACTIVE or has a listed reply. `comment_group` is the id of the comment on top, and there `reply_count` counts the
    listed ones below; elsewhere it is 0. Both are kept up to date with every change, so that no read has to look at a
    whole group.
    """

    __tablename__: ClassVar[str] = "comments"
    __table_args__ = (
        # One keyset each: the top-level comments of a post, and the replies of a group.
        Index("ix_comments_post", "post_id", "depth", "listed", "created_at", "comment_id"),
        Index("ix_comments_group", "comment_group", "listed", "created_at", "comment_id"),
        Index("ix_comments_parent", "parent_id", "listed"),
        Index("ix_comments_user", "user_id", "created_at"),
        Index("ix_comments_deleted", "deleted_at", "comment_id"),
        TABLE_OPTIONS,
    )

    comment_id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_comments_user"), nullable=False))
    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_comments_post"), nullable=False))
    parent_id: str | None = Field(
        default=None, sa_column=Column(ulid(), ForeignKey("comments.comment_id", name="fk_comments_parent"))
    )
    depth: int = Field(default=0, sa_column=Column(SmallInteger(), nullable=False))
    comment_group: str = Field(sa_column=Column(ulid(), nullable=False))
    content: str = Field(sa_column=Column(String(2000), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    updated_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Since when it is deleted; null again once its words are destroyed.
    deleted_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    comment_status: str = Field(default=STATUS_ACTIVE, sa_column=Column(ascii_text(16), nullable=False))
    listed: bool = Field(default=True, sa_column=Column(Boolean(), nullable=False))
    reply_count: int = Field(default=0, sa_column=Column(Integer(), nullable=False))
    # The entry of the audit log with which all of the author's were hidden; null where this one was by itself.
    hidden_by: str | None = Field(default=None, sa_column=Column(ulid()))
