"""Posts on the wire: bodies from rows, and the parts that a process keeps of them.

Whatever is shown of a post but its counts is rendered once and kept as bytes. The parts are cut out of the same models
that describe the answers in the OpenAPI document, so there is one truth about them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from bapsang_api.http.paging import Cursor
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.db.keyset import Following
from bapsang_api.posts.schemas import (
    Author,
    ContentDetail,
    DetailStats,
    PostDetail,
    PostItem,
    PostPage,
    ShownImage,
    Stats,
)
from bapsang_api.posts.shown.store import PostDetailRow, PostRow

# Quotes within a text are escaped, so this is found in its place only.
_COUNTS: Final = b'"stats":{"likeCount":0,"commentCount":0,"viewCount":0'


class Urls(Protocol):
    """What makes a URL of an image's key."""

    def url(self, key: str | None) -> str | None:
        """Return the URL at which the image is loaded, None without one."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A post's item and detail, each in two parts: the counts go between them."""

    item: tuple[bytes, bytes]
    detail: tuple[bytes, bytes]


def item_of(row: PostRow, images: Urls) -> PostItem:
    return PostItem(
        post_id=row.post_id,
        title=row.title,
        created_at=to_wire(row.created_at),
        thumbnail_url=images.url(row.image_key),
        author=Author(nickname=row.author_nickname, author_profile_url=images.url(row.author_image_key)),
        stats=Stats(like_count=row.like_count, comment_count=row.comment_count, view_count=row.view_count),
        tags=list(row.tags),
    )


def detail_of(row: PostDetailRow, images: Urls, *, is_liked: bool) -> PostDetail:
    return PostDetail(
        post_id=row.post_id,
        title=row.title,
        created_at=to_wire(row.created_at),
        updated_at=to_wire(row.updated_at) if row.updated_at else None,
        content_detail=ContentDetail(
            content=row.content, post_image_url=images.url(row.image_key), images=_pictures(row, images)
        ),
        author=Author(nickname=row.author_nickname, author_profile_url=images.url(row.author_image_key)),
        stats=DetailStats(
            like_count=row.like_count, comment_count=row.comment_count, view_count=row.view_count, is_liked=is_liked
        ),
        tags=list(row.tags),
    )


def page_of(rows: Iterable[PostRow], following: Following | None, images: Urls) -> PostPage:
    items = [item_of(row, images) for row in rows]
    return PostPage(items=items, next_cursor=Cursor.of(following), has_more=following is not None)


def parts_of(row: PostDetailRow, images: Urls) -> Parts:
    """Return the parts of a post; its counts do not matter."""
    row = replace(row, like_count=0, comment_count=0, view_count=0)
    item = item_of(row, images).model_dump_json(by_alias=True).encode()
    detail = detail_of(row, images, is_liked=False).model_dump_json(by_alias=True).encode()
    return Parts(_cut(item, b"}"), _cut(detail, b',"isLiked":false}'))


def item_bytes(parts: Parts, likes: int, comments: int, views: int) -> bytes:
    head, tail = parts.item
    return b'%b"stats":{"likeCount":%d,"commentCount":%d,"viewCount":%d}%b' % (head, likes, comments, views, tail)


def detail_bytes(parts: Parts, likes: int, comments: int, views: int, *, is_liked: bool) -> bytes:
    head, tail = parts.detail
    form = b'%b"stats":{"likeCount":%d,"commentCount":%d,"viewCount":%d,"isLiked":%b}%b'
    return form % (head, likes, comments, views, b"true" if is_liked else b"false", tail)


def page_bytes(items: Iterable[bytes], following: Following | None) -> bytes:
    cursor = Cursor.of(following)
    shown = b"null" if cursor is None else cursor.model_dump_json(by_alias=True).encode()
    more = b"false" if cursor is None else b"true"
    return b'{"items":[%b],"nextCursor":%b,"hasMore":%b}' % (b",".join(items), shown, more)


def _pictures(row: PostDetailRow, images: Urls) -> list[ShownImage]:
    shown = ((picture, images.url(picture.object_key)) for picture in row.pictures)
    return [ShownImage(key=picture.object_key, url=url, alt=picture.alt) for picture, url in shown if url is not None]


def _cut(body: bytes, rest: bytes) -> tuple[bytes, bytes]:
    head, found, tail = body.partition(_COUNTS + rest)
    assert found  # noqa: S101 - the order of the model's fields
    return head, tail
