"""Where the posts are of the home feed, of a person's page and of bookmarks: statements that read places, no posts.

The home feed is merged when it is read (docs/decisions/0015-home-feed.md). A page of so many posts can only be by as many people,
those whose newest post is the newest: one look at everybody who is followed finds them, and more is read only of them.
"""

from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    bindparam,
    or_,
    select,
    true,
    union_all,
)

from bapsang_api.kit.db.columns import UtcDateTime, ulid
from bapsang_api.kit.db.keyset import Following, Keyset, newest_first
from bapsang_api.people.store import bookmarks, follows, not_blocked, not_hidden
from bapsang_api.posts.models import STATUS_ACTIVE
from bapsang_api.posts.view import posts

_READER: Final[BindParameter[str]] = bindparam("reader_id", type_=ulid())
_MOST: Final = bindparam("most", type_=Integer())
_ONE: Final = bindparam("one", 1, type_=Integer())
_AT: Final = bindparam("before_at", type_=UtcDateTime())
_ID: Final = bindparam("before_id", type_=ulid())
# As in kit/db/keyset.py, but for statements within statements.
_BEFORE: Final = and_(
    posts.c.created_at <= _AT, or_(posts.c.created_at < _AT, and_(posts.c.created_at == _AT, posts.c.id < _ID))
)


def _newest_of(authors: ColumnElement[bool], *where: ColumnElement[bool]) -> Select[Any]:
    return (
        select(posts.c.created_at, posts.c.id)
        .where(posts.c.post_status == STATUS_ACTIVE, authors, *where)
        # All columns of ix_posts_author: of an author out of another table MySQL would sort all posts for the last two alone.
        .order_by(posts.c.user_id.desc(), posts.c.post_status.desc(), posts.c.created_at.desc(), posts.c.id.desc())
    )


_FOLLOWED: Final = union_all(
    select(follows.c.followed_id.label("author_id")).where(
        follows.c.follower_id == _READER, not_hidden(_READER, follows.c.followed_id)
    ),
    select(_READER.label("author_id")),
)


def _merged(*where: ColumnElement[bool]) -> Select[Any]:
    """Return the statement for MySQL; `where`: on posts."""
    authors = _FOLLOWED.subquery("authors")
    newest = _newest_of(posts.c.user_id == authors.c.author_id, *where).limit(_ONE).lateral("newest")
    recent = (
        select(authors.c.author_id)
        .join_from(authors, newest, true())
        .order_by(newest.c.created_at.desc(), newest.c.id.desc())
        .limit(_MOST)
        .subquery("recent")
    )
    found = _newest_of(posts.c.user_id == recent.c.author_id, *where).limit(_MOST).lateral("found")
    return (
        select(found.c.created_at, found.c.id)
        .join_from(recent, found, true())
        .order_by(found.c.created_at.desc(), found.c.id.desc())
        .limit(_MOST)
    )


def _sorted(*where: ColumnElement[bool]) -> Select[Any]:
    """Return the statement for SQLite, which knows no LATERAL: what it costs grows with what all of them have written."""
    of_all = _newest_of(posts.c.user_id.in_(_FOLLOWED), *where).order_by(None)
    return of_all.order_by(posts.c.created_at.desc(), posts.c.id.desc()).limit(_MOST)


# By whether it is MySQL, and whether the page has a place where it begins.
_HOME: Final = {
    (True, False): _merged(),
    (True, True): _merged(_BEFORE),
    (False, False): _sorted(),
    (False, True): _sorted(_BEFORE),
}
_WRITTEN_BY: Final = newest_first(_newest_of(posts.c.user_id == bindparam("author_id")), posts.c.created_at, posts.c.id)
_BOOKMARKS: Final = newest_first(
    select(bookmarks.c.created_at, bookmarks.c.post_id)
    .join(posts, posts.c.id == bookmarks.c.post_id)
    .where(bookmarks.c.user_id == _READER, posts.c.post_status == STATUS_ACTIVE, not_hidden(_READER, posts.c.user_id))
    .order_by(bookmarks.c.created_at.desc(), bookmarks.c.post_id.desc()),
    bookmarks.c.created_at,
    bookmarks.c.post_id,
)

_SEEN: Final = select(posts.c.id).where(
    posts.c.id == bindparam("post_id"), posts.c.post_status == STATUS_ACTIVE, not_blocked(_READER, posts.c.user_id)
)


def home_feed(connection: Connection, reader_id: str, before: Keyset | None, limit: int) -> list[Following]:
    """Return up to `limit` visible posts, older than `before`, of the reader and of whom they follow, newest first."""
    statement = _HOME[connection.dialect.name == "mysql", before is not None]
    values: dict[str, object] = {"reader_id": reader_id, "most": limit}
    if before is not None:
        values |= {"before_at": before.created_at, "before_id": before.item_id or ""}
    return [Following(*row) for row in connection.execute(statement, values)]


def written_by(connection: Connection, author_id: str, before: Keyset | None, limit: int) -> list[Following]:
    """Return up to `limit` visible posts of somebody that are older than `before`, newest first."""
    return [Following(*row) for row in _WRITTEN_BY.rows(connection, before, limit, author_id=author_id)]


def bookmarked(connection: Connection, reader_id: str, before: Keyset | None, limit: int) -> list[Following]:
    """Return up to `limit` posts that the reader keeps and sees, kept before `before`, the last kept first."""
    return [Following(*row) for row in _BOOKMARKS.rows(connection, before, limit, reader_id=reader_id)]


def is_seen(connection: Connection, post_id: str, reader_id: str) -> bool:
    """Return whether the reader can read a post by its link."""
    return connection.scalar(_SEEN, {"post_id": post_id, "reader_id": reader_id}) is not None
