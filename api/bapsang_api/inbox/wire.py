"""Notifications on the wire: items from rows, and what each says in Korean."""

from typing import Final

from bapsang_api.http.paging import Cursor
from bapsang_api.inbox.schemas import Actor, NotificationItem, NotificationPage, NotifiedComment, NotifiedPost
from bapsang_api.inbox.service import Page
from bapsang_api.inbox.store import SHOWN_CHARACTERS, NotificationRow
from bapsang_api.kit.clock import to_wire
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.uploads.service import PERSON_WIDTH, ImageService

_TEXTS: Final = {
    Kind.COMMENT: "{}님이 회원님의 글에 댓글을 남겼습니다.",
    Kind.REPLY: "{}님이 회원님의 댓글에 답글을 남겼습니다.",
    Kind.MENTION: "{}님이 댓글에서 회원님을 언급했습니다.",
    Kind.LIKE: "{}님이 회원님의 글을 좋아합니다.",
    Kind.FOLLOW: "{}님이 회원님을 팔로우합니다.",
}
_MORE_LIKES: Final = "{}님 외 {}명이 회원님의 글을 좋아합니다."


def page_of(page: Page, images: ImageService) -> NotificationPage:
    following = page.following
    return NotificationPage(
        items=[item_of(row, images) for row in page.rows],
        next_cursor=Cursor.of(following),
        has_more=following is not None,
    )


def rendered(row: NotificationRow, images: ImageService) -> bytes:
    """Return an item as JSON."""
    return item_of(row, images).model_dump_json(by_alias=True).encode()


def item_of(row: NotificationRow, images: ImageService) -> NotificationItem:
    kind, others = Kind(row.kind), max(0, row.likes - 1)
    actor = None
    if row.actor_id is not None and row.nickname is not None:
        actor = Actor(
            user_id=row.actor_id,
            nickname=row.nickname,
            profile_image_url=images.url(row.image_key, row.photo, PERSON_WIDTH),
            profile_image=images.shown(row.image_key, row.photo, PERSON_WIDTH),
        )
    return NotificationItem(
        notification_id=str(row.number),
        kind=kind,
        created_at=to_wire(row.created_at),
        read=row.read_at is not None,
        actor=actor,
        others=others,
        text=_text(kind, row, others),
        post=None if row.post_id is None else NotifiedPost(post_id=row.post_id, title=row.title or ""),
        comment=None
        if row.comment_id is None
        else NotifiedComment(comment_id=row.comment_id, content=_cut(row.content or "")),
    )


def _text(kind: Kind, row: NotificationRow, others: int) -> str:
    if kind not in _TEXTS:
        return row.detail or ""
    if others:
        return _MORE_LIKES.format(row.nickname, others)
    return _TEXTS[kind].format(row.nickname)


def _cut(content: str) -> str:
    return content if len(content) <= SHOWN_CHARACTERS else f"{content[: SHOWN_CHARACTERS - 1]}…"
