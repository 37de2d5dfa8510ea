"""Which pages of posts a change puts out of date: decided by the changed rows as they are now, not by messages about them.

A page is outdated when it lacks a post that belongs on it, or has one that does not. So a page that was read after the change is
left alone, and so are all pages when a thousand posts have had their likes written back.
"""

from bisect import bisect_left
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.posts.shown.store import HIDDEN, TAGGED

_NEWEST: Final = "~"  # above every place
_OLDEST: Final = ""


@dataclass(frozen=True, slots=True)
class Extent:
    """What a page covers: the places from `oldest` on, below `newest`. `post_ids` has the post after the last as well, which
    decides whether there is more."""

    tag: str | None
    newest: str
    oldest: str
    post_ids: tuple[str, ...]

    @classmethod
    def of(cls, tag: str | None, before: Keyset | None, size: int, found: list[Following]) -> "Extent":
        """Return that of the page before `before`, of which up to `size` + 1 posts were found."""
        newest = _NEWEST if before is None else _place(before.created_at, before.item_id or "")
        oldest = _place(found[-1].created_at, found[-1].item_id) if len(found) > size else _OLDEST
        return cls(tag, newest, oldest, tuple(post.item_id for post in found))


class ChangedPosts:
    """Posts that have changed, as they are now."""

    def __init__(self, changes: Collection[str]) -> None:
        """`changes` are those of `store.Changed`; authors among them are on no page."""
        self.post_ids: set[str] = set()
        self._gone: set[str] = set()
        self._visible: list[str] = []
        self._tagged: list[str] = []
        for change in changes:
            _, _, state, *place = change.split(" ", 3)
            if place:
                self._add(state, place[0])
        self._visible.sort()
        self._tagged.sort()

    def outdate(self, page: Extent) -> bool:
        """Return whether the page is not as MySQL has it now. For a tag also when it may not be: which tags are the same is for
        MySQL's collation to say."""
        if page.tag is not None:
            return not self.post_ids.isdisjoint(page.post_ids) or bool(_within(self._tagged, page))
        if self._gone and not self._gone.isdisjoint(page.post_ids):
            return True
        return any(_id_of(place) not in page.post_ids for place in _within(self._visible, page))

    def _add(self, state: str, place: str) -> None:
        self.post_ids.add(post_id := _id_of(place))
        if state == HIDDEN:
            self._gone.add(post_id)
            return
        self._visible.append(place)
        if state == TAGGED:
            self._tagged.append(place)


def _within(places: list[str], page: Extent) -> list[str]:
    return places[bisect_left(places, page.oldest) : bisect_left(places, page.newest)]


def _place(created_at: datetime, post_id: str) -> str:
    """Return a text that sorts as lists do, written as MySQL writes it."""
    return f"{created_at.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')} {post_id}"


def _id_of(place: str) -> str:
    return place.rpartition(" ")[2]
