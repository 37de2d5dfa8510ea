"""Every SQL statement on what is shown of posts."""

import itertools
import json
from collections.abc import Collection, Set
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
    case,
    func,
    select,
    text,
    union_all,
)

from bapsang_api.kit.db.columns import UtcDateTime, table_of
from bapsang_api.kit.db.keyset import Following, Keyset, newest_first
from bapsang_api.posts.models import STATUS_ACTIVE, Post, PostContent, PostImage
from bapsang_api.search import store as texts
from bapsang_api.search.query import Query
from bapsang_api.tags import store as tags
from bapsang_api.users.models import User
from bapsang_api.users.store import author_name

FIRST_SECONDS: Final = 5
# States of a changed post: in no list, in those of all posts alone, in those of tags too.
HIDDEN: Final = "h"
PLAIN: Final = "p"
TAGGED: Final = "t"

posts = table_of(Post)
post_contents = table_of(PostContent)
post_images = table_of(PostImage)
users = table_of(User)


@dataclass(frozen=True)
class PostRow:
    """A post in a list. The counts are those of the last write-back."""

    post_id: str
    title: str
    created_at: datetime
    author_nickname: str
    author_image_key: str | None
    image_key: str | None
    like_count: int
    comment_count: int
    view_count: int
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture of a post: the key under which it is published, and what it shows in words."""

    object_key: str
    alt: str | None


@dataclass(frozen=True)
class PostDetailRow(PostRow):
    """A post with its content."""

    updated_at: datetime | None
    content: str
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """The counts of a visible post, which change often, and the version of all else that is shown of it."""

    author_id: str
    like_count: int
    comment_count: int
    view_count: int
    version: tuple[datetime | None, datetime | None]  # when the post and its author were last changed


@dataclass(frozen=True, slots=True)
class Changed:
    """Which posts and authors were changed, as of `now`; the database's clock. `whole`: whether that is all.

    A change is text, for thousands are looked at twice a second: when it was, just to tell it from others, then for an author
    the id, for a post its state (HIDDEN, PLAIN or TAGGED), when it was made, and the id.
    """

    now: datetime
    changes: Set[str]
    whole: bool


LIST_COLUMNS: Final[tuple[ColumnElement[Any], ...]] = (  # in the order of PostRow
    posts.c.id,
    posts.c.title,
    posts.c.created_at,
    author_name,
    users.c.profile_image_key,
    # A subquery, so that whoever lists posts joins no more than the author.
    select(post_contents.c.post_image_key)
    .where(post_contents.c.id == posts.c.id)
    .correlate(posts)
    .scalar_subquery()
    .label("image_key"),
    posts.c.like_count,
    posts.c.comment_count,
    posts.c.view_count,
    posts.c.tags,
)
_LIST = (
    select(*LIST_COLUMNS)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
)
_WRITTEN_BY: Final = newest_first(
    _LIST.where(posts.c.user_id == bindparam("author_id")), posts.c.created_at, posts.c.id
)
_TAGGED: Final = newest_first(
    _LIST.join(tags.post_tags, tags.post_tags.c.post_id == posts.c.id)
    .where(tags.post_tags.c.tag == bindparam("tag"))
    .order_by(None)
    .order_by(tags.post_tags.c.created_at.desc(), tags.post_tags.c.post_id.desc())
    # Forced: of a tag that most posts have, MySQL would read and sort all.
    .with_hint(tags.post_tags, "FORCE INDEX (PRIMARY)", "mysql"),
    tags.post_tags.c.created_at,
    tags.post_tags.c.post_id,
)
_PLACES: Final = newest_first(
    select(posts.c.created_at, posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc()),
    posts.c.created_at,
    posts.c.id,
)
_THESE: Final[BindParameter[str]] = bindparam("post_ids", expanding=True)
_PICTURES: Final = (
    select(post_images.c.post_id, post_images.c.object_key, post_images.c.alt)
    .where(post_images.c.post_id.in_(_THESE))
    .order_by(post_images.c.post_id, post_images.c.position)
)
_DETAIL: Final[Select[Any]] = (
    select(*LIST_COLUMNS, posts.c.updated_at, post_contents.c.content, posts.c.user_id, users.c.updated_at)
    .join(users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE, posts.c.id.in_(_THESE))
)
_STANDING: Final = (
    select(
        posts.c.id,
        posts.c.user_id,
        posts.c.like_count,
        posts.c.comment_count,
        posts.c.view_count,
        posts.c.updated_at,
        users.c.updated_at,
    )
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE, posts.c.id.in_(_THESE))
)
_NOW: Final = func.utc_timestamp(6, type_=UtcDateTime())
_SINCE: Final = func.coalesce(
    bindparam("since", type_=UtcDateTime()), func.timestampadd(text("SECOND"), -FIRST_SECONDS, _NOW)
)
_MOST: Final = bindparam("most", type_=Integer())
_STATE: Final = case((posts.c.post_status != STATUS_ACTIVE, HIDDEN), (posts.c.tags.is_(None), PLAIN), else_=TAGGED)
_ROWS: Final = (
    union_all(
        *(
            select(func.concat(table.c.changed_at, " ", *state, table.c.id).label("change")).where(
                table.c.changed_at >= _SINCE
            )
            for table, state in ((posts, (_STATE, " ", posts.c.created_at, " ")), (users, ()))
        )
    )
    .limit(_MOST)
    .subquery("changes")
)
# In one value: PyMySQL reads 5,000 rows in 19 ms, for which the event loop would wait, and this in 1.5.
_CHANGED: Final = select(_NOW, func.json_arrayagg(_ROWS.c.change))


def changed(connection: Connection, since: datetime | None, most: int) -> Changed:
    """Return what was changed since then, by the clock of MySQL; without a time within the last FIRST_SECONDS."""
    now, changes = connection.execute(_CHANGED, {"since": since, "most": most}).one()
    found = frozenset(json.loads(changes or "[]"))
    return Changed(now, found, whole=len(found) < most)


def written_by(connection: Connection, author_id: str, before: Keyset | None, limit: int) -> list[PostRow]:
    """Return up to `limit` visible posts of an author that are older than `before`, newest first."""
    return [PostRow(*row) for row in _WRITTEN_BY.rows(connection, before, limit, author_id=author_id)]


def tagged(connection: Connection, tag: str, before: Keyset | None, limit: int) -> list[PostRow]:
    """Return up to `limit` visible posts with the tag that are older than `before`, newest first."""
    return [PostRow(*row) for row in _TAGGED.rows(connection, before, limit, tag=tag)]


def places(connection: Connection, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
    """Return up to `limit` visible posts, of all or of those with the tag, that are older than `before`, newest first."""
    if tag is not None:
        return [Following(row.created_at, row.post_id) for row in tagged(connection, tag, before, limit)]
    return [Following(*row) for row in _PLACES.rows(connection, before, limit)]


def standings(connection: Connection, post_ids: Collection[str]) -> dict[str, Standing]:
    """Return the standing of each of these posts that is visible."""
    rows = connection.execute(_STANDING, {"post_ids": list(post_ids)})
    return {row[0]: Standing(row[1], row[2], row[3], row[4], (row[5], row[6])) for row in rows}


def details(connection: Connection, post_ids: Collection[str]) -> dict[str, tuple[Standing, PostDetailRow]]:
    """Return each of these posts that is visible, and its standing."""
    rows = list(connection.execute(_DETAIL, {"post_ids": list(post_ids)}))
    pictures = _pictures_of_all(connection, [row.id for row in rows if row.image_key])
    shown: dict[str, tuple[Standing, PostDetailRow]] = {}
    for *columns, author_id, author_updated_at in rows:
        whole: tuple[Any, ...] = (*columns, pictures.get(columns[0], ()))
        detail = PostDetailRow(*whole)
        counts = detail.like_count, detail.comment_count, detail.view_count
        shown[detail.post_id] = Standing(author_id, *counts, (detail.updated_at, author_updated_at)), detail
    return shown


def found(connection: Connection, query: Query, before: Keyset | None, limit: int) -> list[PostRow]:
    """Return up to `limit` visible posts that hold the words and are older than `before`, newest first."""
    # Apart from what a list shows of them: of many that hold the words, only those of the page are looked up.
    ids = (
        select(posts.c.id)
        .join_from(texts.post_texts, posts, posts.c.id == texts.post_texts.c.post_id)
        .where(texts.holds(connection, query), posts.c.post_status == STATUS_ACTIVE)
        .order_by(posts.c.created_at.desc(), posts.c.id.desc())
    )
    shown = newest_first(ids, posts.c.created_at, posts.c.id).subquery("found", before, limit)
    statement = _LIST.join(shown, shown.c.id == posts.c.id).prefix_with(texts.TIME_LIMIT, dialect="mysql")
    return [PostRow(*row) for row in connection.execute(statement)]


def detail(connection: Connection, post_id: str) -> PostDetailRow | None:
    _, found = details(connection, [post_id]).get(post_id, (None, None))
    return found


def pictures_of(connection: Connection, post_id: str) -> tuple[Picture, ...]:
    """Return the pictures of a post in their order."""
    return _pictures_of_all(connection, [post_id]).get(post_id, ())


def _pictures_of_all(connection: Connection, post_ids: Collection[str]) -> dict[str, tuple[Picture, ...]]:
    if not post_ids:
        return {}
    rows = connection.execute(_PICTURES, {"post_ids": list(post_ids)})
    return {
        post_id: tuple(Picture(row.object_key, row.alt) for row in pictures)
        for post_id, pictures in itertools.groupby(rows, lambda row: row.post_id)
    }
