"""Wire shapes of notifications."""

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from bapsang_api.http.paging import Cursor, SizeQuery
from bapsang_api.http.validation import empty_as_absent, refuse, spelled
from bapsang_api.http.wire import Wire
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.uploads.schemas import ShownPhoto

MOST_IDS: Final = 100
_NUMBER: Final = "[1-9][0-9]{0,9}"
NotificationId = Annotated[
    str,
    AfterValidator(spelled(_NUMBER, 10, "알림의 ID가 아닙니다.")),
    Field(json_schema_extra={"pattern": f"^{_NUMBER}$"}, examples=["42"]),
]


class InboxQuery(SizeQuery):
    """Which page of the inbox a request wants."""

    cursor_id: Annotated[NotificationId | None, BeforeValidator(empty_as_absent)] = Field(
        default=None, description="`nextCursor.id` of the page before."
    )
    cursor_created_at: str | None = Field(
        default=None, description="`nextCursor.createdAt` of the page before; the id alone says where it goes on."
    )


class Actor(Wire):
    """Who did it."""

    user_id: str
    nickname: str
    profile_image_url: str | None
    profile_image: ShownPhoto | None


class NotifiedPost(Wire):
    """The post that it is about."""

    post_id: str
    title: str


class NotifiedComment(Wire):
    """The comment that it is about, its first 100 characters."""

    comment_id: str
    content: str


class NotificationItem(Wire):
    """What somebody is told of. `text` is ready to be shown.

    Of a LIKE, one for all likes of a post, `others` counts who like it besides the `actor`. `actor` is null for a MODERATION and
    a SYSTEM.
    """

    notification_id: str = Field(examples=["42"])
    kind: Kind
    created_at: str
    read: bool
    actor: Actor | None
    others: int
    text: str = Field(examples=["앨리스님 외 3명이 회원님의 글을 좋아합니다."])
    post: NotifiedPost | None
    comment: NotifiedComment | None


class NotificationPage(Wire):
    """A page of notifications, newest first. `nextCursor` is passed back verbatim; it is null on the last page."""

    items: list[NotificationItem]
    next_cursor: Cursor | None
    has_more: bool


class UnreadCount(Wire):
    """How many notifications are unread, 100 for 100 and more."""

    count: int = Field(ge=0, le=100)


class ReadMarks(Wire):
    """What has been read: everything up to a notification, or these. One of the two."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"upTo": "42"}]})

    up_to: NotificationId | None = None
    ids: Annotated[list[NotificationId], Field(max_length=MOST_IDS)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "ReadMarks":
        if (self.up_to is None) == (self.ids is None):
            raise refuse("upTo와 ids 가운데 하나만 보내야 합니다.")
        return self


class NotificationSettings(Wire):
    """What somebody is told of, by kind. What moderators did and what could not be done is always told."""

    comment: bool
    reply: bool
    mention: bool
    like: bool
    follow: bool


class SettingsChange(Wire):
    """A change of what somebody is told of. What is missing or null stays."""

    comment: bool | None = None
    reply: bool | None = None
    mention: bool | None = None
    like: bool | None = None
    follow: bool | None = None
