"""Tables and answers of the usual version, on the schema of the real one."""

from datetime import datetime
from typing import Optional

from pydantic import BaseModel
from pydantic.alias_generators import to_camel
from sqlmodel import Field, Relationship, SQLModel


class User(SQLModel, table=True):
    __tablename__ = "users"

    id: str = Field(primary_key=True)
    nickname: str
    profile_image_key: str | None = None
    user_role: str
    user_status: str


class Post(SQLModel, table=True):
    __tablename__ = "posts"

    id: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id")
    title: str
    created_at: datetime
    updated_at: datetime | None = None
    view_count: int
    like_count: int
    comment_count: int
    post_status: str

    author: User = Relationship()
    content: Optional["PostContent"] = Relationship(sa_relationship_kwargs={"uselist": False})


class PostContent(SQLModel, table=True):
    __tablename__ = "post_contents"

    id: str = Field(primary_key=True, foreign_key="posts.id")
    content: str
    post_image_key: str | None = None


class PostLike(SQLModel, table=True):
    __tablename__ = "usual_post_likes"  # a copy: the real one must stay as the API left it

    user_id: str = Field(primary_key=True, foreign_key="users.id")
    post_id: str = Field(primary_key=True, foreign_key="posts.id")
    created_at: datetime


class Wire(BaseModel):
    model_config = {"alias_generator": to_camel, "populate_by_name": True}


class AuthorOut(Wire):
    nickname: str
    author_profile_url: str | None


class StatsOut(Wire):
    like_count: int
    comment_count: int
    view_count: int


class DetailStatsOut(StatsOut):
    is_liked: bool


class PostItemOut(Wire):
    post_id: str
    title: str
    created_at: datetime
    thumbnail_url: str | None
    author: AuthorOut
    stats: StatsOut


class CursorOut(Wire):
    id: str
    created_at: datetime


class PostPageOut(Wire):
    items: list[PostItemOut]
    next_cursor: CursorOut | None
    has_more: bool


class ContentOut(Wire):
    content: str
    post_image_url: str | None


class PostDetailOut(Wire):
    post_id: str
    title: str
    created_at: datetime
    updated_at: datetime | None
    content_detail: ContentOut
    author: AuthorOut
    stats: DetailStatsOut
