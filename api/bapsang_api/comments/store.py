"""Every SQL statement on comments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    bindparam,
    exists,
    func,
    insert,
    select,
    true,
    update,
)

from bapsang_api.comments.models import STATUS_DELETED, Comment
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.kit.db.keyset import Keyset, newest_first, oldest_first
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.models import Post
from bapsang_api.uploads.photo import Photo
from bapsang_api.uploads.store import photo_of
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

comments = table_of(Comment)
posts = table_of(Post)
users = table_of(User)


@dataclass(frozen=True)
class CommentRow:
    """A listed comment. Text and author of one that is not ACTIVE are for nobody's eyes."""

    comment_id: str
    parent_id: str | None
    content: str
    comment_group: str
    created_at: datetime
    updated_at: datetime | None
    depth: int
    status: str
    reply_count: int
    author_nickname: str
    author_image_key: str | None
    author_photo: Photo | None
    author_id: str


@dataclass(frozen=True)
class Node:
    """A comment's place in the tree, and what became of it."""

    comment_id: str
    post_id: str
    parent_id: str | None
    comment_group: str
    depth: int
    created_at: datetime
    user_id: str
    status: str
    listed: bool


_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (  # in the order of CommentRow
    comments.c.comment_id,
    comments.c.parent_id,
    comments.c.content,
    comments.c.comment_group,
    comments.c.created_at,
    comments.c.updated_at,
    comments.c.depth,
    comments.c.comment_status,
    comments.c.reply_count,
    author_name.label("author"),
    users.c.profile_image_key,
    photo_of(users.c.profile_image_key, of=users).label("author_photo"),
    comments.c.user_id,
)
_NODE = select(
    comments.c.comment_id,
    comments.c.post_id,
    comments.c.parent_id,
    comments.c.comment_group,
    comments.c.depth,
    comments.c.created_at,
    comments.c.user_id,
    comments.c.comment_status,
    comments.c.listed,
)
_ROWS = select(*_COLUMNS).join_from(comments, users, users.c.id == comments.c.user_id)
# Forced: where one post or group holds much of the table, MySQL would read and sort all of it for the few rows of a page.
_ROOTS = newest_first(
    _ROWS.where(comments.c.depth == 0, comments.c.listed == true())
    .where(comments.c.post_id == bindparam("post_id"))
    .order_by(comments.c.created_at.desc(), comments.c.comment_id.desc())
    .with_hint(comments, "FORCE INDEX (ix_comments_post)", "mysql"),
    comments.c.created_at,
    comments.c.comment_id,
)
_REPLIES = (
    _ROWS.where(comments.c.listed == true(), comments.c.depth > 0)
    # By the whole of the index: in the lateral join MySQL does not see that the group is one and the same.
    .order_by(comments.c.comment_group, comments.c.listed, comments.c.created_at, comments.c.comment_id)
    .with_hint(comments, "FORCE INDEX (ix_comments_group)", "mysql")
)
_REPLIES_TO = oldest_first(
    _REPLIES.where(comments.c.comment_group == bindparam("comment_group")),
    comments.c.created_at,
    comments.c.comment_id,
)
_POSTS: Final[BindParameter[str]] = bindparam("post_ids", expanding=True)
_VERSIONS = select(posts.c.id, posts.c.comment_version).where(
    posts.c.id.in_(_POSTS), posts.c.post_status == POST_ACTIVE
)
_ROW = _ROWS.where(comments.c.comment_id == bindparam("one"))
_ONE_NODE = _NODE.where(comments.c.comment_id == bindparam("one"))
_INSERT = insert(comments)
_MORE: Final = bindparam("more", type_=Integer())
_ADD_VISIBLE = (
    update(posts)
    .where(posts.c.id == bindparam("one"))
    .values(comment_count=posts.c.comment_count + _MORE, comment_version=posts.c.comment_version + 1)
)
_RENEW = update(posts).where(posts.c.id == bindparam("one")).values(comment_version=posts.c.comment_version + 1)
_COUNT_IN = _ADD_VISIBLE.where(posts.c.post_status == POST_ACTIVE)
_ADD_LISTED = (
    update(comments).where(comments.c.comment_id == bindparam("one")).values(reply_count=comments.c.reply_count + _MORE)
)


_GROUPS: Final[BindParameter[str]] = bindparam("groups", expanding=True)
_MOST: Final = bindparam("most", type_=Integer())


def _first_lateral() -> Select[Any]:
    # Reads at most `most` entries of the index for each group, however many replies it has.
    top = comments.alias("top")
    oldest = _REPLIES.where(comments.c.comment_group == top.c.comment_id).correlate(top).limit(_MOST).lateral("oldest")
    return (
        select(*oldest.c)
        .select_from(top.join(oldest, true()))
        .where(top.c.comment_id.in_(_GROUPS))
        .order_by(oldest.c.created_at, oldest.c.comment_id)
    )


def _first_numbered() -> Select[Any]:
    # SQLite knows no lateral join, so it looks at whole groups: a file on one machine has no large ones.
    number = func.row_number().over(
        partition_by=comments.c.comment_group, order_by=(comments.c.created_at, comments.c.comment_id)
    )
    numbered = (
        _REPLIES.order_by(None)
        .add_columns(number.label("number"))
        .where(comments.c.comment_group.in_(_GROUPS))
        .subquery("numbered")
    )
    shown = [column for column in numbered.c if column.name != "number"]
    return select(*shown).where(numbered.c.number <= _MOST).order_by(numbered.c.created_at, numbered.c.comment_id)


_FIRST_LATERAL: Final = _first_lateral()
_FIRST_NUMBERED: Final = _first_numbered()


def versions_of(connection: Connection, post_ids: Iterable[str]) -> dict[str, int]:
    """Return the version of the comments of each of these posts that is visible."""
    rows = connection.execute(_VERSIONS, {"post_ids": list(post_ids)})
    return {row.id: row.comment_version for row in rows}


def roots(connection: Connection, post_id: str, before: Keyset | None, limit: int) -> list[CommentRow]:
    """Return up to `limit` listed top-level comments of a post that are older than `before`, newest first."""
    return [CommentRow(*row) for row in _ROOTS.rows(connection, before, limit, post_id=post_id)]


def replies(connection: Connection, group: str, after: Keyset | None, limit: int) -> list[CommentRow]:
    """Return up to `limit` listed replies of a group that are newer than `after`, oldest first."""
    return [CommentRow(*row) for row in _REPLIES_TO.rows(connection, after, limit, comment_group=group)]


def first_replies(connection: Connection, groups: Sequence[str], limit: int) -> list[CommentRow]:
    """Return the oldest `limit` listed replies of each group, oldest first, in one statement."""
    if not groups:
        return []
    statement = _FIRST_LATERAL if connection.dialect.name == "mysql" else _FIRST_NUMBERED
    values = {"groups": list(groups), "most": limit}
    return [CommentRow(*row) for row in connection.execute(statement, values)]


def group_listed(connection: Connection, post_id: str, comment_id: str) -> bool:
    """Return whether that is a listed top-level comment of that post, and the post visible."""
    found = (
        select(comments.c.comment_id)
        .join_from(comments, posts, posts.c.id == comments.c.post_id)
        .where(comments.c.comment_id == comment_id, comments.c.post_id == post_id, comments.c.depth == 0)
        .where(comments.c.listed == true(), posts.c.post_status == POST_ACTIVE)
    )
    return connection.scalar(found) is not None


def row(connection: Connection, comment_id: str) -> CommentRow:
    return CommentRow(*connection.execute(_ROW, {"one": comment_id}).one())


def node(connection: Connection, comment_id: str) -> Node | None:
    found = connection.execute(_ONE_NODE, {"one": comment_id}).one_or_none()
    return None if found is None else Node(*found)


def content_of(connection: Connection, comment_id: str) -> str:
    return str(connection.scalar(select(comments.c.content).where(comments.c.comment_id == comment_id)))


def has_listed_reply(connection: Connection, comment_id: str) -> bool:
    return bool(
        connection.scalar(select(exists().where(comments.c.parent_id == comment_id, comments.c.listed == true())))
    )


def add(connection: Connection, comment: Comment) -> None:
    connection.execute(_INSERT, comment.model_dump())


def change(connection: Connection, comment_id: str, **values: Any) -> None:
    """Set columns of a comment."""
    connection.execute(update(comments).where(comments.c.comment_id == comment_id).values(values))


def renew_version(connection: Connection, post_id: str) -> None:
    """Note that a comment of the post shows something else, though their number is the same."""
    connection.execute(_RENEW, {"one": post_id})
    note(connection, post_id)


def unerased(connection: Connection, user_id: str, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` comments of a user, deleted ones too, whose text is still there: ids of post and comment."""
    left = select(comments.c.post_id, comments.c.comment_id).where(
        comments.c.user_id == user_id, comments.c.content != ""
    )
    return [(post_id, comment_id) for post_id, comment_id in connection.execute(left.limit(limit))]


def erase(connection: Connection, comment_id: str, now: datetime) -> None:
    """Overwrite the text of a comment that is not ACTIVE and delete it, if it was only hidden."""
    deleted_at = func.coalesce(comments.c.deleted_at, now)
    change(connection, comment_id, content="", comment_status=STATUS_DELETED, deleted_at=deleted_at)


_DESTROY: Final = update(comments).values(content="", deleted_at=None, updated_at=None)


def deleted_before(connection: Connection, moment: datetime, limit: int) -> list[tuple[str, str]]:
    """Return up to `limit` comments deleted before a moment and not destroyed yet: ids of post and comment."""
    statement = select(comments.c.post_id, comments.c.comment_id).where(comments.c.deleted_at < moment)
    rows = connection.execute(statement.order_by(comments.c.deleted_at, comments.c.comment_id).limit(limit))
    return [(post_id, comment_id) for post_id, comment_id in rows]


def destroy(connection: Connection, comment_ids: Sequence[str]) -> None:
    """Overwrite what deleted comments said, and forget when that was. Their places in the tree stay."""
    connection.execute(_DESTROY.where(comments.c.comment_id.in_(comment_ids)))


def destroy_all_of(connection: Connection, post_ids: Sequence[str]) -> None:
    """Overwrite what all comments of deleted posts said."""
    connection.execute(_DESTROY.where(comments.c.post_id.in_(post_ids)))


def count_in(connection: Connection, post_id: str) -> bool:
    """Count one more ACTIVE comment of a visible post; False without one.

    An update locks the post's row as well as a look for it would, and spares that.
    """
    note(connection, post_id)
    return connection.execute(_COUNT_IN, {"one": post_id, "more": 1}).rowcount == 1


def add_to_counts(connection: Connection, post_id: str, group: str, *, visible: int, listed: int) -> None:
    """Change the post's count of ACTIVE comments by `visible`, the group's of listed replies by `listed`."""
    connection.execute(_ADD_VISIBLE, {"one": post_id, "more": visible})
    note(connection, post_id)
    add_to_group(connection, group, listed=listed)


def add_to_group(connection: Connection, group: str, *, listed: int) -> None:
    """Change a group's count of listed replies."""
    if listed:
        connection.execute(_ADD_LISTED, {"one": group, "more": listed})
