"""Comments of the older server: their tree is made anew from who replies to whom, whatever it says of depth and group."""

from collections.abc import Mapping, Sequence
from typing import Final

from bapsang_api.comments.models import STATUS_ACTIVE, STATUS_DELETED
from bapsang_api.importing import rules, store
from bapsang_api.importing.models import COMMENT, USER
from bapsang_api.importing.old import Row, id_text
from bapsang_api.importing.store import KnownPost, Place
from bapsang_api.importing.taking import Taking

_DEEPEST: Final = 3


def take_comments(taking: Taking, rows: Sequence[Row], above: Mapping[str, Row], utc: frozenset[str]) -> None:
    """Take comments. `above` are those that they reply to, directly or not; they are taken first where they were not yet."""
    by_id = {id_text(row["comment_id"]): row for row in rows}
    _Comments(taking, {**above, **by_id}, set(by_id), utc).take()


class _Comments:
    """A batch of comments with all above them."""

    def __init__(self, taking: Taking, rows: Mapping[str, Row], batch: set[str], utc: frozenset[str]) -> None:
        self._taking, self._rows, self._batch, self._utc = taking, rows, batch, utc
        self._posts = taking.known_posts(id_text(row["post_id"]) for row in rows.values())
        self._authors = taking.known(USER, (id_text(row["user_id"]) for row in rows.values()))
        known = taking.known(COMMENT, rows)
        stored = store.places(taking.connection, set(known.values())) | taking.pretended.places
        self._known = set(known)
        self._places = {old_id: stored[new_id] for old_id, new_id in known.items() if new_id in stored}
        self._free = taking.free_ids(store.comments, rows)
        self._on_the_way: set[str] = set()

    def take(self) -> None:
        tally = self._taking.tally
        for old_id in self._rows:
            if old_id not in self._batch:
                continue
            tally.found += 1
            if old_id in self._known or self._place(old_id) is not None:
                tally.imported += 1
        added = self._taking.rows.get("comments", [])
        added.sort(key=lambda row: row["depth"])

    def _place(self, old_id: str) -> Place | None:
        """Return where a comment is in the tree, taking it if need be; None when it cannot be taken."""
        if old_id in self._places:
            return self._places[old_id]
        row = self._rows.get(old_id)
        if row is None or old_id in self._on_the_way:
            return None
        self._on_the_way.add(old_id)
        post, author_id = self._posts.get(id_text(row["post_id"])), self._authors.get(id_text(row["user_id"]))
        refusal = _refusal(old_id, post, author_id)
        if refusal is not None or post is None or author_id is None:
            if old_id in self._batch:
                self._taking.tally.skip(repr(old_id[:100]) if refusal == "id_unusable" else old_id, refusal or "")
            return None
        changes: list[str] = []
        parent = self._parent(row, post, changes)
        place = self._placed(old_id, row, post.new_id, parent, changes)
        self._places[old_id] = place
        self._taking.pretended.places[place.comment_id] = place
        self._add(old_id, row, place, author_id, changes)
        if not post.is_moving:
            self._taking.changed_posts.add(post.new_id)
        return place

    def _parent(self, row: Row, post: KnownPost, changes: list[str]) -> Place | None:
        if row["parent_id"] is None:
            return None
        parent = self._place(id_text(row["parent_id"]))
        if parent is None or parent.post_id != post.new_id:
            changes.append("parent_missing")  # not taken, of another post, or in a circle
            return None
        if parent.depth < _DEEPEST:
            return parent
        changes.append("too_deep")
        above = store.places(self._taking.connection, [parent.parent_id or ""]) | self._taking.pretended.places
        return above[parent.parent_id or ""]

    def _placed(self, old_id: str, row: Row, post_id: str, parent: Place | None, changes: list[str]) -> Place:
        utc = "created_at" in self._utc
        created_at = self._taking.times.created(row["created_at"], old_id, changes.append, utc=utc)
        comment_id = old_id if old_id in self._free else rules.new_id(created_at)
        if parent is None:
            return Place(comment_id, post_id, None, 0, comment_id)
        return Place(comment_id, post_id, parent.comment_id, parent.depth + 1, parent.group)

    def _add(self, old_id: str, row: Row, place: Place, author_id: str, changes: list[str]) -> None:
        times, taking = self._taking.times, self._taking
        status = rules.comment_status(row["comment_status"], row["deleted_at"] is not None, changes.append)
        created_at = times.created(row["created_at"], old_id, lambda _: None, utc="created_at" in self._utc)
        content = ""
        if status != STATUS_DELETED:
            content = rules.words(row["content"], rules.LONGEST_COMMENT, changes.append)
        taking.add(
            "comments",
            comment_id=place.comment_id,
            user_id=author_id,
            post_id=place.post_id,
            parent_id=place.parent_id,
            depth=place.depth,
            comment_group=place.group,
            content=content,
            created_at=created_at,
            updated_at=taking.changed_at(taking.time(row, "updated_at", self._utc), created_at),
            comment_status=status,
            listed=status == STATUS_ACTIVE,
            reply_count=0,
        )
        taking.add_id(COMMENT, old_id, place.comment_id)
        taking.tally.take(old_id, place.comment_id, changes)


def _refusal(old_id: str, post: KnownPost | None, author_id: str | None) -> str | None:
    if not rules.is_old_id(old_id):
        return "id_unusable"
    if post is None:
        return "post_missing"
    if post.is_deleted:
        return "post_deleted"
    return "author_missing" if author_id is None else None
