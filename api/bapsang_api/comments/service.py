"""Use cases of comments.

Whatever changes the comments of a post first locks the post's row. So the counts are exact, a reply never lands below a
comment that goes at the same moment, and two writers wait in a row, never in a circle.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from bapsang_api.comments import store, telling, tree
from bapsang_api.comments.models import STATUS_ACTIVE, STATUS_DELETED, STATUS_HIDDEN, Comment
from bapsang_api.comments.reads import CommentReads, Wanted
from bapsang_api.comments.store import CommentRow, Node
from bapsang_api.comments.threads import MOST_INLINE, Page, Thread, place_of, threads_of, unseen
from bapsang_api.http.content import Content
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Keyset, cut
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import FieldError, Forbidden, InvalidInput, NotFound
from bapsang_api.notifications import store as notifications
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.people.store import is_blocked
from bapsang_api.posts import store as posts
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.models import STATUS_DELETED as POST_DELETED
from bapsang_api.posts.models import STATUS_HELD as POST_HELD
from bapsang_api.posts.models import STATUS_HIDDEN as POST_HIDDEN
from bapsang_api.readmodel.entry import Usage
from bapsang_api.readmodel.feed import ChangeFeed

DEEPEST: Final = 3


@dataclass(frozen=True)
class Edited:
    """What a change of a comment has made of it."""

    comment_id: str
    content: str
    updated_at: datetime


class CommentService:
    """Writes and reads comments."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        feed: ChangeFeed,
        hidden: HiddenPeople,
        render: Callable[[Page], bytes],
    ) -> None:
        self._database, self._clock, self._ids, self._hidden = database, clock, ids, hidden
        self._reads = CommentReads(database, feed, render)

    def usage(self) -> dict[str, Usage]:
        """Return how much is kept of comments, by cache."""
        return {"comments": self._reads.usage()}

    async def page(self, post_id: str, before: Keyset | None, size: int, user_id: str | None) -> Content | bytes:
        """Return the answer to a list of up to `size` top-level comments older than `before`, newest first, each with its oldest
        replies, as a user sees it. Raises NotFound, and Unavailable.
        """
        if not is_ulid(post_id):
            raise NotFound
        hidden, wanted = (await self._hidden.of(user_id)).people, Wanted(post_id, before, size)
        content = await (self._reads.page_without(wanted, hidden) if hidden else self._reads.page(wanted))
        if content is None:
            raise NotFound
        return content

    async def replies(
        self, post_id: str, comment_id: str, after: Keyset | None, size: int, user_id: str | None
    ) -> Page:
        """Return up to `size` replies below a top-level comment that are newer than `after`, oldest first, side by side.

        Raises NotFound.
        """
        if not (is_ulid(post_id) and is_ulid(comment_id)):
            raise NotFound

        def read(connection: Connection) -> list[CommentRow] | None:
            if not store.group_listed(connection, post_id, comment_id):
                return None
            return store.replies(connection, comment_id, after, size + 1)

        rows = await self._database.find_lagging(read)
        if rows is None:
            raise NotFound
        shown, following = cut(rows, size, place_of)
        hidden = (await self._hidden.of(user_id)).people
        return Page([Thread(unseen(row) if row.author_id in hidden else row) for row in shown], following)

    async def current(self, comment_id: str) -> Thread | None:
        """Return a comment as the list of its post shows it now, None once it can no longer be read."""

        def read(connection: Connection) -> Thread | None:
            node = store.node(connection, comment_id)
            if node is None or node.status != STATUS_ACTIVE or not store.versions_of(connection, [node.post_id]):
                return None
            row = store.row(connection, comment_id)
            replies = store.first_replies(connection, [comment_id], MOST_INLINE + 1) if row.reply_count else []
            return threads_of([row], replies)[0]

        return await self._database.read(read)

    async def create(self, post_id: str, *, user_id: str, content: str, parent_id: str | None) -> CommentRow:
        """Write a comment, or a reply to `parent_id`. Raises NotFound, and InvalidInput for a parent that cannot be one."""
        if not is_ulid(post_id):
            raise NotFound
        comment_id, now = self._ids.new(), self._clock.now()
        may_hide = self._hidden.may_hide(user_id)

        def add(connection: Connection) -> CommentRow:
            if not store.count_in(connection, post_id):
                raise NotFound
            parent = None if parent_id is None else _parent(connection, post_id, parent_id)
            if parent is not None and may_hide and is_blocked(connection, user_id, parent.user_id):
                raise _no_parent()
            comment = _comment(comment_id, post_id, user_id, content, now, parent)
            tree.add(connection, comment)
            telling.tell_of_new(connection, comment, parent, now)
            return store.row(connection, comment_id)

        return await self._database.write(add)

    async def change(self, post_id: str, comment_id: str, *, user_id: str, content: str) -> Edited:
        """Change the text of a comment. Raises NotFound, and Forbidden for another's."""
        now = self._clock.now()

        def rewrite(connection: Connection) -> None:
            node = _lock_own(connection, post_id, comment_id, user_id)
            before = store.content_of(connection, comment_id)
            store.change(connection, comment_id, content=content, updated_at=now)
            store.renew_version(connection, post_id)
            telling.tell_of_change(connection, node, before, content, now)

        await self._database.write(rewrite)
        return Edited(comment_id, content, now)

    async def delete(self, post_id: str, comment_id: str, *, user_id: str) -> None:
        """Delete a comment; an answered one stays as a place in the tree. Raises NotFound, and Forbidden for another's."""
        now = self._clock.now()

        def remove(connection: Connection) -> None:
            node = _lock_own(connection, post_id, comment_id, user_id)
            tree.take_from_sight(connection, node, STATUS_DELETED, deleted_at=now)
            notifications.forget_comment(connection, post_id, comment_id)

        await self._database.write(remove)


def hide(connection: Connection, comment_id: str, by: str | None = None) -> Node:
    """Take a comment from sight within the caller's transaction and return what it was before. Raises NotFound.

    `by`: the entry of the audit log, where all of the author's are hidden with it.
    """
    node = _lock_moderated(connection, comment_id)
    if node.status == STATUS_ACTIVE:
        tree.take_from_sight(connection, node, STATUS_HIDDEN, hidden_by=by)
    elif by is None:  # from now on it is hidden by itself
        store.change(connection, comment_id, hidden_by=None)
    return node


def show(connection: Connection, comment_id: str) -> Node:
    """Bring a hidden comment back within the caller's transaction and return what it was before. Raises NotFound."""
    node = _lock_moderated(connection, comment_id)
    if node.status == STATUS_HIDDEN:
        tree.bring_back(connection, node)
        store.change(connection, comment_id, hidden_by=None)
    return node


def erase(connection: Connection, user_id: str, *, now: datetime, limit: int) -> int:
    """Delete up to `limit` comments of a user within the caller's transaction and overwrite what they said.

    Those that were deleted or hidden before are overwritten too. Returns how many there were.
    """
    places = store.unerased(connection, user_id, limit)
    for post_id in sorted({post_id for post_id, _ in places}):  # two that meet wait in a row, not in a circle
        posts.lock(connection, post_id, (POST_ACTIVE, POST_HELD, POST_HIDDEN, POST_DELETED))
    for post_id, comment_id in places:
        notifications.forget_comment(connection, post_id, comment_id)
        node = store.node(connection, comment_id)  # now that nobody else can change it
        if node is not None and node.status == STATUS_ACTIVE:
            tree.take_from_sight(connection, node, STATUS_DELETED, deleted_at=now, content="")
        else:
            store.erase(connection, comment_id, now)
            if node is not None:
                store.renew_version(connection, node.post_id)
    return len(places)


def _lock_post(connection: Connection, post_id: str) -> None:
    if not is_ulid(post_id) or posts.lock(connection, post_id) is None:
        raise NotFound


def _lock_own(connection: Connection, post_id: str, comment_id: str, user_id: str) -> Node:
    _lock_post(connection, post_id)
    node = store.node(connection, comment_id) if is_ulid(comment_id) else None
    if node is None or node.post_id != post_id or node.status != STATUS_ACTIVE:
        raise NotFound
    if node.user_id != user_id:
        raise Forbidden
    return node


def _lock_moderated(connection: Connection, comment_id: str) -> Node:
    place = store.node(connection, comment_id) if is_ulid(comment_id) else None
    if place is None or posts.lock(connection, place.post_id, (POST_ACTIVE, POST_HELD, POST_HIDDEN)) is None:
        raise NotFound
    node = store.node(connection, comment_id)  # again, now that nobody else can change it
    if node is None or node.status == STATUS_DELETED:
        raise NotFound
    return node


def _parent(connection: Connection, post_id: str, parent_id: str) -> Node:
    parent = store.node(connection, parent_id) if is_ulid(parent_id) else None
    if parent is None or parent.post_id != post_id or parent.status != STATUS_ACTIVE:
        raise _no_parent()
    if parent.depth >= DEEPEST:
        raise InvalidInput(FieldError("parentId", f"답글은 {DEEPEST}단계까지만 달 수 있습니다."))
    return parent


def _no_parent() -> InvalidInput:
    return InvalidInput(FieldError("parentId", "이 게시글에 없거나 삭제된 댓글입니다."))


def _comment(comment_id: str, post_id: str, user_id: str, content: str, now: datetime, parent: Node | None) -> Comment:
    comment = Comment(
        comment_id=comment_id,
        user_id=user_id,
        post_id=post_id,
        comment_group=comment_id,
        content=content,
        created_at=now,
    )
    if parent is not None:
        comment.parent_id, comment.comment_group, comment.depth = (
            parent.comment_id,
            parent.comment_group,
            parent.depth + 1,
        )
        # Clocks of replicas differ, and an answer that seemed older than what it answers would be listed before it.
        comment.created_at = max(now, parent.created_at + timedelta(microseconds=1))
    return comment
