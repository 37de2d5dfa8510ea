"""Table of likes."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ulid


class UserPostLike(SQLModel, table=True):
    """A user likes a post. `created_at` is when it was written back, up to one sync interval after the click."""

    __tablename__: ClassVar[str] = "user_post_likes"
    # By post first: loading and writing back go by post. The index serves what a user likes.
    __table_args__ = (Index("ix_user_post_likes_user", "user_id", "created_at"), TABLE_OPTIONS)

    post_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_user_post_likes_post"), primary_key=True)
    )
    user_id: str = Field(
        sa_column=Column(ulid(), ForeignKey("users.id", name="fk_user_post_likes_user"), primary_key=True)
    )
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
