"""Wire shapes of comments."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from bapsang_api.http.paging import Cursor
from bapsang_api.http.validation import at_most, text_between
from bapsang_api.http.wire import Wire, WireTime
from bapsang_api.uploads.schemas import ShownPhoto

Content = Annotated[
    str,
    AfterValidator(text_between(1, 1000)),
    Field(json_schema_extra={"minLength": 1, "maxLength": 1000}, examples=["맛있어 보여요!"]),
]
ParentId = Annotated[str, AfterValidator(at_most(26)), Field(json_schema_extra={"maxLength": 26})]


class CommentCreate(Wire):
    """A new comment, or a reply to another one of the same post."""

    content: Content
    parent_id: ParentId | None = None


class CommentChange(Wire):
    """A new text for a comment."""

    content: Content


class CommentAuthor(Wire):
    """Who wrote it. `userId` is null where that person has withdrawn."""

    user_id: str | None
    nickname: str
    author_profile_image_url: str | None
    author_profile_image: ShownPhoto | None


class CommentItem(Wire):
    """A comment or a reply.

    `author` is null and `content` a notice when it was deleted or hidden after it had been answered. On a top-level
    comment `replyCount` counts the whole group below it, at most 50 of which, the oldest, are in `replies`; `hasMore`
    says that there are others, and `nextCursor` where the list of replies goes on with them.
    """

    comment_id: str
    parent_id: str | None
    content: str
    comment_group: str
    created_at: WireTime
    updated_at: str | None
    depth: int
    author: CommentAuthor | None
    replies: list["CommentItem"]
    has_more: bool
    next_cursor: Cursor | None
    reply_count: int


class GoneComment(Wire):
    """The id of a comment that was written and can no longer be read."""

    model_config = ConfigDict(extra="forbid")

    comment_id: str


class CommentPage(Wire):
    """A page of comments. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[CommentItem]
    next_cursor: Cursor | None
    has_more: bool


class CommentEdited(Wire):
    """A comment after its text was changed."""

    id: str
    content: str
    updated_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
