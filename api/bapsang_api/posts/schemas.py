"""Wire shapes of posts."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bapsang_api.kit.cursor import Cursor
from bapsang_api.kit.validation import text_between
from bapsang_api.kit.wire import Wire

Title = Annotated[
    str,
    AfterValidator(text_between(1, 255)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 255}, examples=["오늘의 밥상"]),
]
Content = Annotated[
    str,
    AfterValidator(text_between(1, 10_000)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 10_000}, examples=["된장찌개와 달걀말이"]),
]


class PostCreate(Wire):
    """A new post."""

    title: Title
    content: Content
    post_image_key: str | None = None


class PostChange(Wire):
    """A change of a post. What is missing or null stays."""

    title: Title | None = None
    content: Content | None = None
    post_image_key: str | None = None


class Author(Wire):
    """Who wrote it."""

    nickname: str
    author_profile_url: str | None


class Stats(Wire):
    """The counts shown in lists."""

    like_count: int
    comment_count: int
    view_count: int


class DetailStats(Stats):
    """The counts shown in a detail, and whether the caller likes the post (false without a token)."""

    is_liked: bool


class PostItem(Wire):
    """A post in a list."""

    post_id: str
    title: str
    created_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
    author: Author
    stats: Stats


class PostPage(Wire):
    """A page of posts, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[PostItem]
    next_cursor: Cursor | None
    has_more: bool


class ContentDetail(Wire):
    """Text and picture of a post."""

    content: str
    post_image_url: str | None


class PostDetail(Wire):
    """A post as its page shows it."""

    post_id: str
    title: str
    created_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
    updated_at: str | None
    content_detail: ContentDetail
    author: Author
    stats: DetailStats
