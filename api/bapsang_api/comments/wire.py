"""Comments on the wire: answers from rows."""

from typing import Final

from bapsang_api.comments.schemas import CommentAuthor, CommentItem, CommentPage
from bapsang_api.comments.threads import UNSEEN, Page, Thread
from bapsang_api.http.paging import Cursor
from bapsang_api.kit.clock import to_wire
from bapsang_api.uploads.service import PERSON_WIDTH, ImageService
from bapsang_api.users.names import shown_id

_NOTICES: Final = {
    "DELETED": "삭제된 댓글입니다.",
    "HIDDEN": "관리자가 숨긴 댓글입니다.",
    UNSEEN: "차단하거나 숨긴 사용자의 댓글입니다.",
}


def page_of(page: Page, images: ImageService) -> CommentPage:
    return CommentPage(
        items=[item_of(thread, images) for thread in page.threads],
        next_cursor=Cursor.of(page.following),
        has_more=page.following is not None,
    )


def item_of(thread: Thread, images: ImageService) -> CommentItem:
    row = thread.comment
    notice = _NOTICES.get(row.status)
    key, photo = row.author_image_key, row.author_photo
    author = CommentAuthor(
        user_id=shown_id(row.author_id, row.author_nickname),
        nickname=row.author_nickname,
        author_profile_image_url=images.url(key, photo, PERSON_WIDTH),
        author_profile_image=images.shown(key, photo, PERSON_WIDTH),
    )
    return CommentItem(
        comment_id=row.comment_id,
        parent_id=row.parent_id,
        content=notice or row.content,
        comment_group=row.comment_group,
        created_at=to_wire(row.created_at),
        updated_at=to_wire(row.updated_at) if row.updated_at and notice is None else None,
        depth=row.depth,
        author=author if notice is None else None,
        replies=[item_of(reply, images) for reply in thread.replies],
        has_more=thread.following is not None,
        next_cursor=Cursor.of(thread.following),
        reply_count=row.reply_count,
    )
