"""Wire shapes of posts."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from bapsang_api.http.paging import Cursor
from bapsang_api.http.validation import empty_as_absent, text_between
from bapsang_api.http.wire import Wire, WireTime, WireTimeOrNull
from bapsang_api.tags.schemas import TagNames
from bapsang_api.uploads.schemas import ObjectKey, ShownPhoto

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
Alt = Annotated[
    str,
    AfterValidator(text_between(1, 200)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 200}, examples=["된장찌개와 밥 한 공기"]),
]


class NewImage(Wire):
    """A picture of a post: the key of an upload, or of an image that a detail showed."""

    key: ObjectKey
    alt: Annotated[Alt | None, BeforeValidator(empty_as_absent)] = None


Images = Annotated[list[NewImage], Field(max_length=10)]


class _Fields(Wire):
    """What a request says of a post."""

    @property
    def columns(self) -> dict[str, Any]:
        """The columns that are given, by name; pictures are rows of their own."""
        given = {
            name: getattr(self, name) for name in type(self).model_fields if name not in {"post_image_key", "images"}
        }
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
            if value is not None
        }


class PostCreate(_Fields):
    """A new post. Where `images` is given, `postImageKey` does not count."""

    title: Title
    content: Content
    post_image_key: ObjectKey | None = None
    images: Images | None = None
    tags: TagNames | None = None


class PostChange(_Fields):
    """A change of a post. What is missing or null stays.

    `images` replaces all pictures, an empty list removes them; `postImageKey` replaces only the first, empty removes it.
    `tags` replaces all tags.
    """

    title: Title | None = None
    content: Content | None = None
    post_image_key: ObjectKey | None = None
    images: Images | None = None
    tags: TagNames | None = None


class PostState(StrEnum):
    """Who sees a post: everybody; its author alone, until a moderator has looked at it; nobody but moderators."""

    PUBLISHED = "PUBLISHED"
    HELD = "HELD"
    HIDDEN = "HIDDEN"


class Author(Wire):
    """Who wrote it. `userId` is null where that person has withdrawn."""

    user_id: str | None
    nickname: str
    author_profile_url: str | None
    author_profile: ShownPhoto | None


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
    created_at: WireTime
    thumbnail_url: str | None
    thumbnail: ShownPhoto | None
    author: Author
    stats: Stats
    tags: list[str] = Field(examples=[["집밥", "된장찌개"]])


class PostPage(Wire):
    """A page of posts, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[PostItem]
    next_cursor: Cursor | None
    has_more: bool


class ShownImage(ShownPhoto):
    """A picture of a post. `key` names it when its author changes the post; `message` says why it is REFUSED."""

    key: str
    url: str | None
    jpeg_url: str | None = Field(description="The same as JPEG, for what shows no WebP.")
    alt: str | None
    message: str | None


class ContentDetail(Wire):
    """Text and pictures of a post; `postImageUrl` is the first of `images`."""

    content: str
    post_image_url: str | None
    post_image: ShownPhoto | None
    images: list[ShownImage]


class OwnPostItem(PostItem):
    """A post in the list of its author."""

    state: PostState


class OwnPostPage(Wire):
    """A page of the caller's posts, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[OwnPostItem]
    next_cursor: Cursor | None
    has_more: bool


class GonePost(Wire):
    """The id of a post that was published and can no longer be read."""

    model_config = ConfigDict(extra="forbid")

    post_id: str


class PostDetail(Wire):
    """A post as its page shows it."""

    post_id: str
    title: str
    created_at: WireTime
    updated_at: WireTimeOrNull
    state: PostState = Field(examples=["PUBLISHED"])
    content_detail: ContentDetail
    author: Author
    stats: DetailStats
    tags: list[str] = Field(examples=[["집밥", "된장찌개"]])
