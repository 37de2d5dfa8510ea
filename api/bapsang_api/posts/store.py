"""Every SQL statement that writes posts, and what writers have to read first. What readers read is in queries.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Table, bindparam, func, insert, or_, select, update
from sqlalchemy import delete as delete_from

from bapsang_api.kit.db import counters
from bapsang_api.kit.db.database import note
from bapsang_api.posts.holding import FREE, Earlier, Judgement, Rule
from bapsang_api.posts.listing import LISTS, TAGS, TOP
from bapsang_api.posts.models import (
    ERASED,
    STATUS_ACTIVE,
    STATUS_DELETED,
    STATUS_HELD,
    Post,
    PostContent,
)
from bapsang_api.posts.view import Picture, post_contents, post_images, posts
from bapsang_api.search import store as texts
from bapsang_api.tags import store as tags
from bapsang_api.uploads.store import UnusedImage

_STATUSES: Final[BindParameter[str]] = bindparam("statuses", expanding=True)
_LOCKED: Final = (
    select(posts.c.user_id)
    .where(posts.c.id == bindparam("post_id"), posts.c.post_status.in_(_STATUSES))
    .with_for_update()
)
_AUTHOR: Final = select(posts.c.user_id).where(posts.c.id == bindparam("post_id"))
_INSERT: Final = insert(posts)
_INSERT_CONTENT: Final = insert(post_contents)


def add(
    connection: Connection,
    post_id: str,
    judgement: Judgement = FREE,
    *,
    user_id: str,
    now: datetime,
    fields: Mapping[str, Any],
    pictures: Sequence[Picture],
) -> None:
    """Insert a post; `fields` are its columns and those of its content, by name."""
    of_post, of_content = _by_table(fields)
    post = Post(id=post_id, user_id=user_id, created_at=now, text_digest=judgement.digest, **of_post)
    if judgement.rule is not None:
        post.post_status, post.held_at, post.held_for = STATUS_HELD, now, judgement.rule
    connection.execute(_INSERT, post.model_dump(exclude={"changed_at"}))
    connection.execute(_INSERT_CONTENT, PostContent(id=post_id, **of_content).model_dump())
    texts.add(connection, post_id, fields["title"], fields["content"])
    if post.tags and judgement.rule is None:
        tags.put(connection, post_id, now, post.tags)
    if pictures:
        set_pictures(connection, post_id, pictures)
    note(connection, post_id, TOP)


def set_pictures(connection: Connection, post_id: str, pictures: Sequence[Picture]) -> None:
    """Give a post these pictures in place of those it has."""
    connection.execute(delete_from(post_images).where(post_images.c.post_id == post_id))
    if pictures:
        rows = [
            {"post_id": post_id, "position": position, "object_key": picture.object_key, "alt": picture.alt}
            for position, picture in enumerate(pictures)
        ]
        connection.execute(insert(post_images), rows)
    first = pictures[0].object_key if pictures else None
    connection.execute(update(post_contents).where(post_contents.c.id == post_id).values(post_image_key=first))


def picture_changed(connection: Connection, _owner_id: str, object_key: str, _now: datetime) -> None:
    """Have the posts that show an image read anew: what is known of it has changed."""
    shown_by = select(post_images.c.post_id).where(post_images.c.object_key == object_key)
    ids = list(connection.scalars(shown_by))
    connection.execute(update(posts).where(posts.c.id.in_(ids)).values(picture_version=posts.c.picture_version + 1))
    note(connection, *ids)


def author_of(connection: Connection, post_id: str) -> str:
    return str(connection.scalar(_AUTHOR, {"post_id": post_id}))


def post_showing(connection: Connection, object_key: str) -> str | None:
    """Return a post that is not deleted and has this picture, None without one."""
    found: str | None = connection.scalar(
        select(post_images.c.post_id)
        .join(posts, posts.c.id == post_images.c.post_id)
        .where(post_images.c.object_key == object_key, posts.c.post_status != STATUS_DELETED)
        .order_by(post_images.c.post_id)
        .limit(1)
    )
    return found


def images_in_use(connection: Connection, images: Sequence[UnusedImage]) -> set[str]:
    """Return those of these images, by their object keys, that a post shows or, hidden, may show again."""
    return set(
        connection.scalars(
            select(post_images.c.object_key)
            .join(posts, posts.c.id == post_images.c.post_id)
            .where(
                post_images.c.object_key.in_([image.object_key for image in images]),
                posts.c.post_status != STATUS_DELETED,
            )
        )
    )


def images_shown_by_others(connection: Connection, post_id: str, keys: Sequence[str]) -> set[str]:
    """Return those of these images, by their object keys, that another visible post shows."""
    elsewhere = select(post_images.c.object_key).join(posts, posts.c.id == post_images.c.post_id)
    elsewhere = elsewhere.where(post_images.c.object_key.in_(keys), post_images.c.post_id != post_id)
    return set(connection.scalars(elsewhere.where(posts.c.post_status == STATUS_ACTIVE)))


def lock(connection: Connection, post_id: str, statuses: tuple[str, ...] = (STATUS_ACTIVE,)) -> str | None:
    """Return the author of a post in one of these states, None without one.

    Nobody else writes to the post until the end of the transaction. Whoever changes something that hangs on a post takes
    this lock first: two that meet then wait in a row, not in a circle.
    """
    author_id: str | None = connection.scalar(_LOCKED, {"post_id": post_id, "statuses": list(statuses)})
    return author_id


@dataclass(frozen=True)
class State:
    """What became of a post."""

    author_id: str
    status: str
    created_at: datetime
    held_at: datetime | None


def state(connection: Connection, post_id: str) -> State | None:
    """Return what became of a post, and lock it as `lock` does."""
    columns = posts.c.user_id, posts.c.post_status, posts.c.created_at, posts.c.held_at
    row = connection.execute(select(*columns).where(posts.c.id == post_id).with_for_update()).one_or_none()
    return None if row is None else State(*row)


def earlier(
    connection: Connection, author_id: str, since: datetime, limit: int, *, but: str | None = None
) -> list[Earlier]:
    """Return up to `limit` posts of an author since then, the newest, without the one that is named."""
    statement = select(posts.c.id, posts.c.created_at, posts.c.text_digest, posts.c.post_status)
    statement = statement.where(posts.c.user_id == author_id, posts.c.created_at > since)
    rows = connection.execute(statement.order_by(posts.c.created_at.desc()).limit(limit))
    return [
        Earlier(row.created_at, None if row.post_status == STATUS_DELETED else row.text_digest)
        for row in rows
        if row.id != but
    ]


def change(connection: Connection, post_id: str, fields: Mapping[str, Any], now: datetime) -> None:
    """Set the columns that are given of a post and its content."""
    of_post, of_content = _by_table(fields)
    connection.execute(update(posts).where(posts.c.id == post_id).values(**of_post, updated_at=now))
    if of_content:
        connection.execute(update(post_contents).where(post_contents.c.id == post_id).values(of_content))
    if "title" in fields or "content" in fields:
        (words,) = words_of(connection, [post_id])
        texts.put(connection, *words)
    if "tags" in fields:
        _list_by_tags(connection, post_id)
    note(connection, post_id, *([TAGS] if "tags" in fields else []))


def delete(connection: Connection, post_id: str, now: datetime) -> None:
    """Take a post from sight for good; its row stays."""
    connection.execute(update(posts).where(posts.c.id == post_id).values(post_status=STATUS_DELETED, deleted_at=now))
    texts.remove(connection, [post_id])
    tags.remove(connection, [post_id])
    note(connection, post_id, LISTS)


def words_of(connection: Connection, post_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return id, title and content of those of the posts that are not deleted."""
    rows = connection.execute(
        select(posts.c.id, posts.c.title, post_contents.c.content)
        .join(post_contents, post_contents.c.id == posts.c.id)
        .where(posts.c.id.in_(post_ids), posts.c.post_status != STATUS_DELETED)
    )
    return [(post_id, title, content) for post_id, title, content in rows]


def unerased(connection: Connection, author_id: str, limit: int) -> list[str]:
    """Return and lock up to `limit` posts of a user, deleted ones too, whose words are still there."""
    left = or_(posts.c.post_status != STATUS_DELETED, posts.c.title != "")
    statement = select(posts.c.id).where(posts.c.user_id == author_id, left).order_by(posts.c.id).limit(limit)
    return list(connection.scalars(statement.with_for_update()))


def erase(connection: Connection, post_ids: Sequence[str], now: datetime) -> None:
    """Delete posts with their pictures and overwrite what they said.

    The rows stay, empty, for the likes and comments of others that hang on them.
    """
    connection.execute(delete_from(post_images).where(post_images.c.post_id.in_(post_ids)))
    emptied = update(post_contents).where(post_contents.c.id.in_(post_ids)).values(_emptied(post_contents))
    connection.execute(emptied)
    deleted_at = func.coalesce(posts.c.deleted_at, now)
    connection.execute(
        update(posts)
        .where(posts.c.id.in_(post_ids))
        .values({**_emptied(posts), "post_status": STATUS_DELETED, "deleted_at": deleted_at})
    )
    texts.remove(connection, post_ids)
    tags.remove(connection, post_ids)
    note(connection, *post_ids, LISTS)


def deleted_before(connection: Connection, moment: datetime, limit: int) -> list[str]:
    """Return up to `limit` posts that were deleted before a moment and not destroyed yet, the first deleted one first."""
    statement = select(posts.c.id).where(posts.c.deleted_at < moment).order_by(posts.c.deleted_at, posts.c.id)
    return list(connection.scalars(statement.limit(limit)))


def destroy(connection: Connection, post_ids: Sequence[str], now: datetime) -> None:
    """Overwrite what deleted posts said, and forget when that was."""
    erase(connection, post_ids, now)
    connection.execute(update(posts).where(posts.c.id.in_(post_ids)).values(deleted_at=None, updated_at=None))


def turn(connection: Connection, post_id: str, status: str, **values: Any) -> None:
    """Give a post that is not deleted another status, and lists what they are to have; `values` are further columns."""
    connection.execute(update(posts).where(posts.c.id == post_id).values(post_status=status, **values))
    if status == STATUS_ACTIVE:
        _list_by_tags(connection, post_id)
    else:
        tags.remove(connection, [post_id])
    note(connection, post_id, LISTS, *([TOP] if "created_at" in values else []))


def set_digest(connection: Connection, post_id: str, digest: str | None) -> None:
    connection.execute(update(posts).where(posts.c.id == post_id).values(text_digest=digest))


def set_rule(connection: Connection, post_id: str, rule: Rule) -> None:
    """Note by which rule a held post is held."""
    connection.execute(update(posts).where(posts.c.id == post_id).values(held_for=rule))


def _list_by_tags(connection: Connection, post_id: str) -> None:
    """Put a post into the lists of the tags that it shows, and of no others; one that nobody sees into none."""
    columns = posts.c.created_at, posts.c.tags, posts.c.post_status
    created_at, names, status = connection.execute(select(*columns).where(posts.c.id == post_id)).one()
    tags.put(connection, post_id, created_at, names if status == STATUS_ACTIVE else ())


def add_views(connection: Connection, views: Mapping[str, int]) -> dict[str, int]:
    """Add views to posts and return how many each has then."""
    # Not told as a change: at the peak most posts have been seen within a minute, and each process would look at all of them.
    counters.add(connection, posts.c.view_count, views, changed_at=posts.c.changed_at)
    rows = connection.execute(select(posts.c.id, posts.c.view_count).where(posts.c.id.in_(views)))
    return {row.id: row.view_count for row in rows}


def _by_table(fields: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of posts and those of their contents."""
    of_content = {name: value for name, value in fields.items() if name in post_contents.c}
    return {name: value for name, value in fields.items() if name not in of_content}, of_content


def _emptied(table: Table) -> dict[str, Any]:
    """Return what columns hold once their author's words are erased."""
    return {column.name: column.info[ERASED] for column in table.c if ERASED in column.info}
