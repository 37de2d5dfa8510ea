"""Every SQL statement that reads what is shown of posts, and the poll of the change feed."""

import itertools
import json
from collections.abc import Collection, Set
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Integer, Select, Table, bindparam, case, func, select, text, union_all

from bapsang_api.kit.db.columns import UtcDateTime
from bapsang_api.kit.db.keyset import Following, Keyset, newest_first
from bapsang_api.kit.db.views import columns_of
from bapsang_api.people.store import not_hidden
from bapsang_api.posts.listing import place_of
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_DELETED, STATUS_HELD
from bapsang_api.posts.view import (
    OwnDetailView,
    OwnItemView,
    Picture,
    PostDetailView,
    PostItemView,
    PostVersion,
    post_contents,
    post_images,
    posts,
    users,
)
from bapsang_api.readmodel.feed import Answer, Polled, PostChange, Source
from bapsang_api.search import store as texts
from bapsang_api.search.query import Query
from bapsang_api.tags import store as tags
from bapsang_api.uploads.store import photo_of

_FIRST_SECONDS: Final = 5  # that the first poll looks back
# What is told of a changed row: of a post whether it is in no list, in those of all posts alone, in those of tags too.
_HIDDEN: Final = "h"
_PLAIN: Final = "p"
_TAGGED: Final = "t"
_USER: Final = "u"
_VIEWER: Final = "v"  # a user who hides somebody, or did
_LIST_COLUMNS: Final = columns_of(PostItemView)


_LIST = (
    select(*_LIST_COLUMNS)
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
)
_OWN: Final = newest_first(
    select(*columns_of(OwnItemView))
    .join(users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status.in_((STATUS_ACTIVE, STATUS_HELD)), posts.c.user_id == bindparam("author_id"))
    .order_by(posts.c.created_at.desc(), posts.c.id.desc()),
    posts.c.created_at,
    posts.c.id,
)
_WITH_TAG: Final = newest_first(
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
_NEWEST: Final = (
    select(posts.c.created_at, posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE)
    .order_by(posts.c.created_at.desc(), posts.c.id.desc())
    .limit(bindparam("most", type_=Integer()))
)
_OF_NEWEST: Final = _NEWEST.subquery("newest")
# In one value, as _CHANGED.
_NEWEST_AT_ONCE: Final = select(func.json_arrayagg(func.concat(_OF_NEWEST.c.created_at, " ", _OF_NEWEST.c.id)))
_THESE: Final[BindParameter[str]] = bindparam("post_ids", expanding=True)
_PICTURES: Final = (
    select(
        post_images.c.post_id,
        post_images.c.object_key,
        post_images.c.alt,
        photo_of(post_images.c.object_key, of=post_images).label("photo"),
    )
    .where(post_images.c.post_id.in_(_THESE))
    .order_by(post_images.c.post_id, post_images.c.position)
)
_DETAIL: Final[Select[Any]] = (
    select(*columns_of(PostDetailView))
    .join_from(posts, users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.post_status == STATUS_ACTIVE, posts.c.id.in_(_THESE))
)
_ANY_DETAIL: Final[Select[Any]] = (
    select(*columns_of(OwnDetailView))
    .join_from(posts, users, users.c.id == posts.c.user_id)
    .join(post_contents, post_contents.c.id == posts.c.id)
    .where(posts.c.id == bindparam("post_id"), posts.c.post_status != STATUS_DELETED)
)
_OWN_DETAIL: Final = _ANY_DETAIL.where(
    posts.c.user_id == bindparam("author_id"), posts.c.post_status.in_((STATUS_ACTIVE, STATUS_HELD))
)
_VERSIONS: Final = (
    select(*columns_of(PostVersion))
    .join_from(posts, users, users.c.id == posts.c.user_id)
    .where(posts.c.post_status == STATUS_ACTIVE, posts.c.id.in_(_THESE))
)
_NOW: Final = func.utc_timestamp(6, type_=UtcDateTime())
_SINCE: Final = func.coalesce(
    bindparam("since", type_=UtcDateTime()), func.timestampadd(text("SECOND"), -_FIRST_SECONDS, _NOW)
)
_MOST: Final = bindparam("most", type_=Integer())
_STATE: Final = case((posts.c.post_status != STATUS_ACTIVE, _HIDDEN), (posts.c.tags.is_(None), _PLAIN), else_=_TAGGED)
_TOLD: Final[dict[Table, tuple[Any, ...]]] = {
    posts: (_STATE, " ", posts.c.comment_version, " ", posts.c.created_at, " "),
    users: (case((users.c.people_version > 0, _VIEWER), else_=_USER), " "),
}
_ROWS: Final = (
    union_all(
        *(
            select(func.concat(table.c.changed_at, " ", *told, table.c.id).label("change")).where(
                table.c.changed_at >= _SINCE
            )
            for table, told in _TOLD.items()
        )
    )
    .limit(_MOST)
    .subquery("changes")
)
# In one value: PyMySQL reads 5,000 rows in 19 ms, for which the event loop would wait, and this in 1.5.
_CHANGED: Final = select(_NOW, func.json_arrayagg(_ROWS.c.change))


def ask(connection: Connection, since: datetime | None, most: int) -> Answer:
    """Return what was changed since then, by the clock of MySQL; without a time within the last seconds."""
    now, changes = connection.execute(_CHANGED, {"since": since, "most": most}).one()
    found = frozenset(json.loads(changes or "[]"))
    return Answer(now, found, whole=len(found) < most)


def parse(changes: Set[str]) -> Polled:
    """Return the rows that the texts of an answer name. Each begins with its time of change, which only tells it from others."""
    names, viewers, changed = set(), set(), []
    for change in changes:
        _, _, state, *more = change.split(" ")
        names.add(more[-1])
        if state == _VIEWER:
            viewers.add(more[-1])
        elif state != _USER:
            version, day, time, post_id = more
            place = f"{day} {time} {post_id}"
            changed.append(PostChange(post_id, place, state != _HIDDEN, state == _TAGGED, int(version)))
    return Polled(frozenset(names), tuple(changed), frozenset(viewers))


SOURCE: Final = Source(ask, parse)


def own(connection: Connection, author_id: str, before: Keyset | None, limit: int) -> list[OwnItemView]:
    """Return up to `limit` posts that an author sees of their own, older than `before`, newest first."""
    return [OwnItemView(*row) for row in _OWN.rows(connection, before, limit, author_id=author_id)]


def own_detail(connection: Connection, post_id: str, author_id: str) -> OwnDetailView | None:
    """Return a post of an author's that is visible or held."""
    return _whole(connection, _OWN_DETAIL, post_id=post_id, author_id=author_id)


def any_detail(connection: Connection, post_id: str) -> OwnDetailView | None:
    """Return a post that is not deleted, for moderators."""
    return _whole(connection, _ANY_DETAIL, post_id=post_id)


def tagged(connection: Connection, tag: str, before: Keyset | None, limit: int) -> list[PostItemView]:
    """Return up to `limit` visible posts with the tag that are older than `before`, newest first."""
    return [PostItemView(*row) for row in _WITH_TAG.rows(connection, before, limit, tag=tag)]


def places(connection: Connection, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
    """Return up to `limit` visible posts, of all or of those with the tag, that are older than `before`, newest first."""
    if tag is not None:
        return [Following(row.created_at, row.post_id) for row in tagged(connection, tag, before, limit)]
    return [Following(*row) for row in _PLACES.rows(connection, before, limit)]


def newest(connection: Connection, most: int) -> list[str]:
    """Return the places (listing.place_of) of the newest visible posts, in any order."""
    if connection.dialect.name == "mysql":
        return list(json.loads(connection.scalar(_NEWEST_AT_ONCE, {"most": most}) or "[]"))
    return [place_of(created_at, post_id) for created_at, post_id in connection.execute(_NEWEST, {"most": most})]


def versions(connection: Connection, post_ids: Collection[str]) -> list[PostVersion]:
    """Return the version of each of these posts that is visible."""
    return [PostVersion(*row) for row in connection.execute(_VERSIONS, {"post_ids": list(post_ids)})]


def details(connection: Connection, post_ids: Collection[str]) -> list[PostDetailView]:
    """Return each of these posts that is visible."""
    rows = connection.execute(_DETAIL, {"post_ids": list(post_ids)}).all()
    pictures = _pictures_of_all(connection, [row.post_id for row in rows if row.image_key])
    columns = ((*row, pictures.get(row.post_id, ())) for row in rows)
    return [PostDetailView(*one) for one in columns]


def found(
    connection: Connection, query: Query, before: Keyset | None, limit: int, viewer_id: str | None = None
) -> list[PostItemView]:
    """Return up to `limit` visible posts that hold the words and are older than `before`, newest first.

    `viewer_id`: of somebody who does not see some people, None for all others.
    """
    # Apart from what a list shows of them: of many that hold the words, only those of the page are looked up.
    ids = (
        select(posts.c.id)
        .join_from(texts.post_texts, posts, posts.c.id == texts.post_texts.c.post_id)
        .where(texts.holds(connection, query), posts.c.post_status == STATUS_ACTIVE)
        .order_by(posts.c.created_at.desc(), posts.c.id.desc())
    )
    if viewer_id is not None:
        ids = ids.where(not_hidden(viewer_id, posts.c.user_id))
    shown = newest_first(ids, posts.c.created_at, posts.c.id).subquery("found", before, limit)
    statement = _LIST.join(shown, shown.c.id == posts.c.id).prefix_with(texts.TIME_LIMIT, dialect="mysql")
    return [PostItemView(*row) for row in connection.execute(statement)]


def found_among(
    connection: Connection, query: Query, before: Keyset | None, among: int, limit: int, viewer_id: str | None = None
) -> list[PostItemView]:
    """Return up to `limit` of the `among` newest visible posts older than `before`: those that hold the words, newest first.

    `viewer_id` as in `found`.
    """
    newest = _PLACES.subquery("among", before, among)
    held = (
        select(newest.c.id)
        .join(texts.post_texts, texts.post_texts.c.post_id == newest.c.id)
        .where(texts.has_words(query))
        .order_by(newest.c.created_at.desc(), newest.c.id.desc())
        .limit(limit)
    )
    if viewer_id is not None:
        held = held.join(posts, posts.c.id == newest.c.id).where(not_hidden(viewer_id, posts.c.user_id))
    found = held.subquery("found")
    return [PostItemView(*row) for row in connection.execute(_LIST.join(found, found.c.id == posts.c.id))]


def place_after(connection: Connection, before: Keyset | None, count: int) -> Following | None:
    """Return the place of the last of the `count` newest visible posts older than `before`, None where there are none."""
    newest = _PLACES.subquery("among", before, count)
    last = connection.execute(select(newest).order_by(newest.c.created_at, newest.c.id).limit(1)).one_or_none()
    return None if last is None else Following(*last)


def detail(connection: Connection, post_id: str) -> PostDetailView | None:
    return next(iter(details(connection, [post_id])), None)


def _whole(connection: Connection, statement: Select[Any], **values: str) -> OwnDetailView | None:
    row = connection.execute(statement, values).one_or_none()
    if row is None:
        return None
    return OwnDetailView(**row._mapping, pictures=pictures_of(connection, row.post_id))


def pictures_of(connection: Connection, post_id: str) -> tuple[Picture, ...]:
    """Return the pictures of a post in their order."""
    return _pictures_of_all(connection, [post_id]).get(post_id, ())


def _pictures_of_all(connection: Connection, post_ids: Collection[str]) -> dict[str, tuple[Picture, ...]]:
    if not post_ids:
        return {}
    rows = connection.execute(_PICTURES, {"post_ids": list(post_ids)})
    return {
        post_id: tuple(Picture(row.object_key, row.alt, row.photo) for row in pictures)
        for post_id, pictures in itertools.groupby(rows, lambda row: row.post_id)
    }
