"""Every SQL statement of an import on this side: what was taken before, what is taken now, and how far a run is."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Column, Connection, Table, case, delete, func, insert, select, tuple_, update

from bapsang_api.comments.models import STATUS_ACTIVE as COMMENT_ACTIVE
from bapsang_api.comments.models import Comment
from bapsang_api.importing.models import POST, STATUS_MOVING, ImportedId, ImportedLike, ImportStep
from bapsang_api.importing.report import Step
from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.text import folded
from bapsang_api.likes.models import UserPostLike
from bapsang_api.posts.models import STATUS_DELETED, Post, PostContent, PostImage
from bapsang_api.search.models import PostText
from bapsang_api.uploads.models import Image
from bapsang_api.uploads.photo import Photo, State
from bapsang_api.users.models import User, UserAuth, UserNumber

T = TypeVar("T")
Pair = tuple[str, str]  # post, user
Rows = dict[str, list[dict[str, Any]]]

imported_ids = table_of(ImportedId)
imported_likes = table_of(ImportedLike)
import_steps = table_of(ImportStep)
users, user_auth, posts = table_of(User), table_of(UserAuth), table_of(Post)
comments, likes, images = table_of(Comment), table_of(UserPostLike), table_of(Image)
UNSEEN: Final = ""  # in `etag` of an image until its object was looked at
#: In the order of their foreign keys.
TABLES: Final[Mapping[str, Table]] = {
    table.name: table
    for table in (
        *(users, user_auth, table_of(UserNumber), images, posts, table_of(PostContent), table_of(PostImage)),
        *(table_of(PostText), comments, likes, imported_likes, imported_ids),
    )
}
_CHUNK: Final = 1_000
_CASES: Final = 200  # of a statement; each of its rows is looked for among all of them


@dataclass(frozen=True)
class KnownPost:
    """A post of the older server that was taken. `is_moving`: nobody sees it yet."""

    new_id: str
    is_moving: bool
    is_deleted: bool


@dataclass(frozen=True)
class Place:
    """A comment's place in the tree."""

    comment_id: str
    post_id: str
    parent_id: str | None
    depth: int
    group: str


@dataclass(frozen=True)
class UnseenPicture:
    """A picture whose object nobody has looked at yet."""

    image_id: str
    upload_key: str
    object_key: str


@dataclass(frozen=True)
class SeenPicture:
    """What is known of a picture whose object was looked at."""

    image_id: str
    etag: str
    photo: Photo


def chunks(items: Iterable[T], size: int = _CHUNK) -> Iterator[list[T]]:
    ordered = list(items)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def known(connection: Connection, kind: str, old_ids: Collection[str]) -> dict[str, str]:
    """Return the new ids of those rows of the older server that were taken before."""
    found: dict[str, str] = {}
    for chunk in chunks(old_ids):
        statement = select(imported_ids.c.old_id, imported_ids.c.new_id).where(
            imported_ids.c.kind == kind, imported_ids.c.old_id.in_(chunk)
        )
        found.update((row.old_id, row.new_id) for row in connection.execute(statement))
    return found


def any_imported(connection: Connection) -> bool:
    """Return whether there was an import at all."""
    return connection.scalar(select(imported_ids.c.kind).limit(1)) is not None


def known_posts(connection: Connection, old_ids: Collection[str]) -> dict[str, KnownPost]:
    found: dict[str, KnownPost] = {}
    for chunk in chunks(old_ids):
        statement = (
            select(imported_ids.c.old_id, imported_ids.c.new_id, imported_ids.c.due_status, posts.c.post_status)
            .join(posts, posts.c.id == imported_ids.c.new_id)
            .where(imported_ids.c.kind == POST, imported_ids.c.old_id.in_(chunk))
        )
        for row in connection.execute(statement):
            is_deleted = row.post_status == STATUS_DELETED
            found[row.old_id] = KnownPost(row.new_id, row.due_status is not None and not is_deleted, is_deleted)
    return found


def taken_ids(connection: Connection, table: Table, ids: Collection[str]) -> set[str]:
    """Return which of these ids name a row here. They are ULIDs."""
    (key,) = table.primary_key.columns
    return {found for chunk in chunks(ids) for found in connection.scalars(select(key).where(key.in_(chunk)))}


def nicknames(connection: Connection, names: Collection[str]) -> set[str]:
    """Return which of these nicknames somebody has, folded. They are by the rules of sign-up."""
    return _folded(connection, users.c.nickname, names)


def emails(connection: Connection, addresses: Collection[str]) -> set[str]:
    """Return which of these e-mails somebody has, folded. They are ASCII."""
    return _folded(connection, user_auth.c.email, addresses)


def _folded(connection: Connection, column: Column[Any], values: Collection[str]) -> set[str]:
    found = (connection.scalars(select(column).where(column.in_(chunk))) for chunk in chunks(values))
    return {folded(value) for rows in found for value in rows}


def places(connection: Connection, comment_ids: Collection[str]) -> dict[str, Place]:
    columns = (comments.c.comment_id, comments.c.post_id, comments.c.parent_id, comments.c.depth)
    found: dict[str, Place] = {}
    for chunk in chunks(comment_ids):
        statement = select(*columns, comments.c.comment_group).where(comments.c.comment_id.in_(chunk))
        found.update((row.comment_id, Place(*row)) for row in connection.execute(statement))
    return found


def pairs_in(connection: Connection, table: Table, pairs: Collection[Pair]) -> set[Pair]:
    """Return which of these likes a table has: `likes` those that are there, `imported_likes` those that were taken before."""
    found: set[Pair] = set()
    for chunk in chunks(pairs):
        statement = select(table.c.post_id, table.c.user_id).where(tuple_(table.c.post_id, table.c.user_id).in_(chunk))
        found.update((row.post_id, row.user_id) for row in connection.execute(statement))
    return found


def insert_all(connection: Connection, rows: Rows) -> None:
    """Insert rows by the names of their tables. Raises IntegrityError when somebody else was faster with a unique value."""
    for name, table in TABLES.items():
        if rows.get(name):
            connection.execute(insert(table), rows[name])


def lock_posts(connection: Connection, post_ids: Collection[str]) -> None:
    """Have everybody wait who writes to these posts, until the end of the transaction."""
    for chunk in chunks(sorted(post_ids)):
        connection.execute(select(posts.c.id).where(posts.c.id.in_(chunk)).order_by(posts.c.id).with_for_update()).all()


def due_posts(connection: Connection, limit: int) -> dict[str, str]:
    """Return what the next posts become that nobody sees yet, by their ids here."""
    statement = select(imported_ids.c.new_id, imported_ids.c.due_status).where(
        imported_ids.c.due_status.is_not(None), imported_ids.c.kind == POST
    )
    return {row.new_id: row.due_status for row in connection.execute(statement.limit(limit))}


def publish(connection: Connection, statuses: Mapping[str, str]) -> None:
    """Give posts that were moving their status, counted; one that was deleted meanwhile stays deleted."""
    settle(connection, statuses)
    by_status: dict[str, list[str]] = defaultdict(list)
    for post_id, status in statuses.items():
        by_status[status].append(post_id)
    for status, post_ids in by_status.items():
        moving = posts.c.id.in_(post_ids), posts.c.post_status == STATUS_MOVING
        connection.execute(update(posts).where(*moving).values(post_status=status))
    due = imported_ids.c.due_status.is_not(None), imported_ids.c.kind == POST
    these = imported_ids.c.new_id.in_(list(statuses))
    connection.execute(update(imported_ids).where(*due, these).values(due_status=None))


def settle(connection: Connection, post_ids: Collection[str]) -> None:
    """Count the likes and comments of posts by their rows, and decide which comments are listed. Locks the posts."""
    lock_posts(connection, post_ids)
    _list_comments(connection, post_ids)
    likes_of = select(likes.c.post_id, func.count()).where(likes.c.post_id.in_(post_ids)).group_by(likes.c.post_id)
    comments_of = (
        select(comments.c.post_id, func.count())
        .where(comments.c.post_id.in_(post_ids), comments.c.comment_status == COMMENT_ACTIVE)
        .group_by(comments.c.post_id)
    )
    liked = {row[0]: row[1] for row in connection.execute(likes_of)}
    commented = {row[0]: row[1] for row in connection.execute(comments_of)}
    for chunk in chunks(sorted(post_ids), _CASES):
        connection.execute(
            update(posts)
            .where(posts.c.id.in_(chunk))
            .values(
                like_count=case({post_id: liked.get(post_id, 0) for post_id in chunk}, value=posts.c.id),
                comment_count=case({post_id: commented.get(post_id, 0) for post_id in chunk}, value=posts.c.id),
                comment_version=posts.c.comment_version + 1,
            )
        )


def _list_comments(connection: Connection, post_ids: Collection[str]) -> None:
    """A comment is listed while it is ACTIVE or has a listed reply; that on top counts the listed ones below it."""
    columns = (comments.c.comment_id, comments.c.parent_id, comments.c.depth, comments.c.comment_group)
    state = (comments.c.comment_status, comments.c.listed, comments.c.reply_count)
    statement = select(*columns, *state).where(comments.c.post_id.in_(post_ids)).order_by(comments.c.depth.desc())
    rows = connection.execute(statement).all()
    listed: set[str] = set()
    counts: dict[str, int] = defaultdict(int)
    for row in rows:  # replies before what they reply to
        if row.comment_status == COMMENT_ACTIVE or row.comment_id in listed:
            listed.add(row.comment_id)
            if row.parent_id is not None:
                listed.add(row.parent_id)
                counts[row.comment_group] += 1
    unlisted = [row.comment_id for row in rows if row.listed and row.comment_id not in listed]
    relisted = [row.comment_id for row in rows if not row.listed and row.comment_id in listed]
    for ids, value in ((unlisted, False), (relisted, True)):
        for chunk in chunks(ids):
            connection.execute(update(comments).where(comments.c.comment_id.in_(chunk)).values(listed=value))
    wanted = {row.comment_id: counts.get(row.comment_id, 0) for row in rows}
    wrong = [row.comment_id for row in rows if row.reply_count != wanted[row.comment_id]]
    for chunk in chunks(wrong, _CASES):
        count = case({comment_id: wanted[comment_id] for comment_id in chunk}, value=comments.c.comment_id)
        connection.execute(update(comments).where(comments.c.comment_id.in_(chunk)).values(reply_count=count))


def unseen_pictures(connection: Connection, after: str, limit: int) -> list[UnseenPicture]:
    """Return the next pictures whose objects were not looked at, or not there."""
    statement = (
        select(images.c.id, images.c.upload_key, images.c.object_key)
        .where(images.c.id > after, images.c.etag == UNSEEN, images.c.collected_at.is_(None))
        .order_by(images.c.id)
        .limit(limit)
    )
    return [UnseenPicture(*row) for row in connection.execute(statement)]


def keep_pictures(connection: Connection, seen: Sequence[SeenPicture], now: datetime) -> None:
    """Note what is known of pictures and have their variants made, of those that are not refused."""
    for one in seen:
        due_at = now if one.photo.state is State.PENDING else None
        values = {"etag": one.etag, "photo": one.photo, "due_at": due_at}
        connection.execute(update(images).where(images.c.id == one.image_id).values(values))


def steps(connection: Connection) -> tuple[dict[str, Step], str]:
    """Return the steps of the last run, by their names, and the older server that it was from."""
    rows = connection.execute(select(import_steps)).all()
    found = {row.name: Step.of_state(row.name, row.state, done=row.done_at is not None) for row in rows}
    return found, next((row.source for row in rows), "")


def begin(connection: Connection, new: Sequence[Step], source: str, now: datetime) -> None:
    """Begin a run, in place of the last one."""
    connection.execute(delete(import_steps))
    rows = [{"name": step.name, "source": source, "started_at": now, "state": step.to_state()} for step in new]
    connection.execute(insert(import_steps), rows)


def save(connection: Connection, step: Step, now: datetime) -> None:
    """Note how far a run is; within the transaction that has brought it there."""
    values = {"state": step.to_state(), "done_at": now if step.done else None}
    connection.execute(update(import_steps).where(import_steps.c.name == step.name).values(values))


def without_row(connection: Connection, kind: str, table: Table) -> int:
    """Return how many rows were taken whose row here is not there."""
    (key,) = table.primary_key.columns
    statement = (
        select(func.count())
        .select_from(imported_ids.outerjoin(table, key == imported_ids.c.new_id))
        .where(imported_ids.c.kind == kind, key.is_(None))
    )
    return int(connection.scalar(statement) or 0)
