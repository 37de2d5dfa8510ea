"""Posts on the wire: bodies from views, and the parts that a process keeps of them.

Whatever is shown of a post but its counts is rendered once and kept as bytes. The parts are cut out of the same models that
describe the answers in the OpenAPI document, so there is one truth about them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from bapsang_api.http.paging import Cursor
from bapsang_api.http.wire import Wire
from bapsang_api.kit.db.keyset import Following
from bapsang_api.media.messages import MESSAGES
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_HELD, STATUS_HIDDEN
from bapsang_api.posts.schemas import (
    Author,
    ContentDetail,
    DetailStats,
    OwnPostItem,
    OwnPostPage,
    PostDetail,
    PostItem,
    PostPage,
    PostState,
    ShownImage,
    Stats,
)
from bapsang_api.posts.view import OwnDetailView, OwnItemView, Picture, PostDetailView, PostItemView
from bapsang_api.uploads.photo import JPEG
from bapsang_api.uploads.service import DETAIL_WIDTH, LIST_WIDTH, PERSON_WIDTH, ZOOM_WIDTH, ImageService
from bapsang_api.users.names import shown_id

M = TypeVar("M", bound=Wire)
# Quotes within a text are escaped, so this is found in its place only.
_COUNTS: Final = b'"stats":{"likeCount":0,"commentCount":0,"viewCount":0'
_STATES: Final = {
    STATUS_ACTIVE: PostState.PUBLISHED,
    STATUS_HELD: PostState.HELD,
    STATUS_HIDDEN: PostState.HIDDEN,
}


@dataclass(frozen=True, slots=True)
class Rendered:
    """A post's detail in two parts, between which the counts go, and its item, which is the same but for its middle."""

    head: bytes
    tail: bytes
    same: int  # bytes of `head` with which the item begins
    middle: bytes  # what the item has then
    rest: int  # where `head` goes on after that
    author_id: str
    created_at: datetime

    @property
    def size(self) -> int:
        """The bytes that depend on the post's author."""
        return len(self.head) + len(self.tail) + len(self.middle)

    def item(self, likes: int, comments: int, views: int) -> bytes:
        form = b'%b%b%b"stats":{"likeCount":%d,"commentCount":%d,"viewCount":%d}%b'
        head = self.head
        return form % (head[: self.same], self.middle, head[self.rest :], likes, comments, views, self.tail)

    def detail(self, likes: int, comments: int, views: int, is_liked: bytes) -> bytes:
        """`is_liked` is `true` or `false`."""
        form = b'%b"stats":{"likeCount":%d,"commentCount":%d,"viewCount":%d,"isLiked":%b}%b'
        return form % (self.head, likes, comments, views, is_liked, self.tail)


def item_of(view: PostItemView, images: ImageService) -> PostItem:
    return _shown(
        PostItem,
        view,
        thumbnail_url=images.url(view.image_key, view.photo, LIST_WIDTH),
        thumbnail=images.shown(view.image_key, view.photo, LIST_WIDTH),
        author=_author(view, images),
        stats=_shown(Stats, view),
    )


def detail_of(
    view: PostDetailView, images: ImageService, *, is_liked: bool, state: PostState = PostState.PUBLISHED
) -> PostDetail:
    pictures = [_image(picture, images) for picture in view.pictures] if images.on else []
    content = _shown(
        ContentDetail,
        view,
        post_image_url=images.url(view.image_key, view.photo, DETAIL_WIDTH),
        post_image=images.shown(view.image_key, view.photo, ZOOM_WIDTH),
        images=pictures,
    )
    stats = _shown(DetailStats, view, is_liked=is_liked)
    shown = {"content_detail": content, "author": _author(view, images), "stats": stats, "state": state}
    return _shown(PostDetail, view, **shown)


def page_of(views: Iterable[PostItemView], following: Following | None, images: ImageService) -> PostPage:
    items = [item_of(view, images) for view in views]
    return PostPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None)


def own_detail_of(view: OwnDetailView, images: ImageService, *, is_liked: bool) -> PostDetail:
    return detail_of(view, images, is_liked=is_liked, state=_STATES[view.status])


def own_page_of(views: Iterable[OwnItemView], following: Following | None, images: ImageService) -> OwnPostPage:
    items = [OwnPostItem(**dict(item_of(view, images)), state=_STATES[view.status]) for view in views]
    return OwnPostPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None)


def rendered(view: PostDetailView, images: ImageService) -> Rendered:
    """Return the parts of a post; its counts do not matter."""
    view = replace(view, like_count=0, comment_count=0, view_count=0)
    item_head, item_tail = _cut(item_of(view, images), b"}")
    head, tail = _cut(detail_of(view, images, is_liked=False), b',"isLiked":false}')
    assert item_tail == tail, "PostItem and PostDetail end alike"  # noqa: S101
    same = _common(head, item_head)
    end = _common(head[: same - 1 : -1], item_head[: same - 1 : -1])
    middle = item_head[same : len(item_head) - end]
    return Rendered(head, tail, same, middle, len(head) - end, view.author_id, view.created_at)


def page_bytes(items: Iterable[bytes], following: Following | None) -> bytes:
    cursor = Cursor.of(following)
    shown = b"null" if cursor is None else cursor.model_dump_json(by_alias=True).encode()
    more = b"false" if cursor is None else b"true"
    return b'{"items":[%b],"nextCursor":%b,"hasMore":%b}' % (b",".join(items), shown, more)


def _author(view: PostItemView, images: ImageService) -> Author:
    key, photo = view.author_image_key, view.author_photo
    url, profile = images.url(key, photo, PERSON_WIDTH), images.shown(key, photo, PERSON_WIDTH)
    user_id = shown_id(view.author_id, view.nickname)
    return _shown(Author, view, user_id=user_id, author_profile_url=url, author_profile=profile)


def _image(picture: Picture, images: ImageService) -> ShownImage:
    key, photo = picture.object_key, picture.photo
    shown = images.shown(key, photo, ZOOM_WIDTH)
    assert shown is not None  # noqa: S101 - it has a key
    return ShownImage(
        **shown.model_dump(),
        key=key,
        url=images.url(key, photo, DETAIL_WIDTH),
        jpeg_url=images.url(key, photo, DETAIL_WIDTH, JPEG),
        alt=picture.alt,
        message=None if photo is None or photo.reason is None else MESSAGES[photo.reason],
    )


def _shown(model: type[M], view: PostItemView, **more: Any) -> M:
    """Return the model with `more`, and for all else the view's columns of the same name."""
    same = {name: getattr(view, name) for name in model.model_fields if name not in more}
    return model(**same, **more)


def _cut(model: Wire, rest: bytes) -> tuple[bytes, bytes]:
    head, found, tail = model.model_dump_json(by_alias=True).encode().partition(_COUNTS + rest)
    assert found  # noqa: S101 - the order of the model's fields
    return head, tail


def _common(one: bytes, other: bytes) -> int:
    """Return how many bytes both begin with."""
    shorter = min(len(one), len(other))
    return next((at for at in range(shorter) if one[at] != other[at]), shorter)
