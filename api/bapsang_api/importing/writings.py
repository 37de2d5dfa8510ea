"""Posts and likes of the older server, and the rows there that belong to others."""

from collections.abc import Mapping, Sequence

from bapsang_api.importing import rules, store
from bapsang_api.importing.models import LOGIN, POST, STATUS_MOVING, USER
from bapsang_api.importing.old import Row, id_text
from bapsang_api.importing.store import KnownPost, Pair
from bapsang_api.importing.taking import Taking
from bapsang_api.posts.models import STATUS_DELETED, STATUS_HIDDEN
from bapsang_api.uploads.rules import Category


def take_posts(taking: Taking, rows: Sequence[Row], contents: Mapping[str, Row], utc: frozenset[str]) -> None:
    """Take posts with their contents. Readers see them when all that belongs to them is there."""
    by_id = {id_text(row["id"]): row for row in rows}
    known, free = taking.known(POST, by_id), taking.free_ids(store.posts, by_id)
    authors = taking.known(USER, (id_text(row["user_id"]) for row in rows))
    for old_id, row in by_id.items():
        taking.tally.found += 1
        author_id = authors.get(id_text(row["user_id"]))
        if old_id in known:
            taking.tally.imported += 1
        elif not rules.is_old_id(old_id):
            taking.tally.skip(repr(old_id[:100]), "id_unusable")
        elif author_id is None:
            taking.tally.skip(old_id, "author_missing")
        else:
            _take_post(taking, old_id, row, contents.get(old_id), author_id, is_free=old_id in free, utc=utc)


def _take_post(
    taking: Taking, old_id: str, row: Row, content: Row | None, author_id: str, *, is_free: bool, utc: frozenset[str]
) -> None:
    changes: list[str] = []
    created_at = taking.times.created(row["created_at"], old_id, changes.append, utc="created_at" in utc)
    status = rules.post_status(row["post_status"], row["deleted_at"] is not None, changes.append)
    post_id = old_id if is_free else rules.new_id(created_at)
    title = words = ""
    key = None
    gone = status == STATUS_DELETED
    if not gone:  # of a deleted one only its place is kept, as after its words are destroyed here
        title = rules.words(row["title"], rules.LONGEST_TITLE, changes.append) or rules.NO_TITLE
        if content is None:
            changes.append("content_missing")
        else:
            words = rules.words(content["content"], rules.LONGEST_CONTENT, changes.append)
            hidden = status == STATUS_HIDDEN
            key = taking.image(content["post_image_key"], author_id, Category.POST_IMAGE, changes, hidden=hidden)
    taking.add(
        "posts",
        id=post_id,
        user_id=author_id,
        title=title,
        created_at=created_at,
        updated_at=None if gone else taking.changed_at(taking.time(row, "updated_at", utc), created_at),
        view_count=rules.count(row["view_count"]),
        like_count=0,
        comment_count=0,
        post_status=status if gone else STATUS_MOVING,
        tags=(),
    )
    taking.add("post_contents", id=post_id, content=words, post_image_key=key)
    if key is not None:
        taking.add("post_images", post_id=post_id, position=0, object_key=key)
    if not gone:
        taking.add("post_texts", post_id=post_id, words=f"{title}\n{words}")
    taking.add_id(POST, old_id, post_id, None if gone else status)
    taking.pretended.posts[old_id] = KnownPost(post_id, is_moving=not gone, is_deleted=gone)
    taking.tally.imported += 1
    taking.tally.take(old_id, post_id, changes)


def take_likes(taking: Taking, rows: Sequence[Row], utc: frozenset[str]) -> None:
    """Take likes that were not taken before, whatever became of them here since."""
    known_posts = taking.known_posts(id_text(row["post_id"]) for row in rows)
    known_users = taking.known(USER, (id_text(row["user_id"]) for row in rows))
    pairs: dict[Pair, Row] = {}
    moving: set[str] = set()
    for row in rows:
        taking.tally.found += 1
        post_id, user_id = id_text(row["post_id"]), id_text(row["user_id"])
        post, liker = known_posts.get(post_id), known_users.get(user_id)
        if post is None or post.is_deleted or liker is None:
            reason = "post_missing" if post is None else "post_deleted" if post.is_deleted else "user_missing"
            taking.tally.skip(f"{user_id} {post_id}"[:130], reason)
            continue
        taking.tally.imported += 1
        pairs[post.new_id, liker] = row
        if post.is_moving:
            moving.add(post.new_id)
    new = pairs.keys() - store.pairs_in(taking.connection, store.imported_likes, pairs.keys()) - taking.pretended.likes
    there = store.pairs_in(taking.connection, store.likes, new)
    for pair in sorted(new):
        post_id, user_id = pair
        taking.tally.new += 1
        taking.add("imported_likes", post_id=post_id, user_id=user_id)
        if pair in there:
            continue
        created_at = taking.time(pairs[pair], "created_at", utc) or taking.times.now
        taking.add("user_post_likes", post_id=post_id, user_id=user_id, created_at=created_at)
        if post_id not in moving:
            taking.changed_posts.add(post_id)


def take_companions(taking: Taking, rows: Sequence[Row], kind: str, owner: str) -> None:
    """Count rows that are taken with what they belong to: logins of users and contents of posts. `owner`: the column with its id."""
    is_login = kind == LOGIN
    taken = taking.known(kind, (id_text(row["id"]) for row in rows))
    owners = taking.known(USER if is_login else POST, (id_text(row[owner]) for row in rows))
    for row in rows:
        old_id = id_text(row["id"])
        taking.tally.found += 1
        if old_id in taken:
            taking.tally.imported += 1
        elif id_text(row[owner]) in owners:
            taking.tally.skip(old_id[:100], "second_login")
        else:
            taking.tally.skip(old_id[:100], "user_missing" if is_login else "post_missing")
