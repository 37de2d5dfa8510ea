"""Lists of posts: which page is asked for, the newest posts that a process knows, and which changed posts contradict a page.

Nearly every page that is asked for is of the newest posts, by a cursor or not. Which these are a process knows (Newest), and takes
over each change of them from the feed. Other pages, of tags and from far below, are read one by one (Extent). Such a page is
outdated when it lacks a post that belongs on it, or has one that does not. That is decided by the changed rows as they are now, so
a page that was read after the change is left alone, and so are all pages when a thousand posts have had their likes written back.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.readmodel.feed import PostChange

# Noted beside a post's id when it comes into lists or goes from them, or into lists of tags alone; a new one comes on top of all.
LISTS: Final = "posts"
TAGS: Final = "posts:tags"
TOP: Final = "posts:top"
NEWEST: Final = 2_000  # posts that a process knows the order of: a hundred pages
HEAD: Final = 50  # of them, that are read anew for a new post
_NEWEST: Final = "~"  # above every place
_OLDEST: Final = ""


@dataclass(frozen=True)
class Wanted:
    """A page: up to `size` posts, of all or of those with the tag, older than `before`, newest first."""

    tag: str | None
    before: Keyset | None
    size: int

    @property
    def names(self) -> tuple[str, ...]:
        """The names whose change outdates the page. What is new is younger than any place: later pages do not have it."""
        of_tags = () if self.tag is None else (TAGS,)
        return (LISTS, *of_tags) if self.before else (LISTS, *of_tags, TOP)


class Newest:
    """The newest visible posts by their places, which sort as lists do. `due`: a new one is there that they lack."""

    def __init__(self, places: Iterable[str], *, whole: bool) -> None:
        """`whole`: whether these are all posts that there are."""
        self._places, self._whole = sorted(places), whole
        self._place_of = {_id_of(place): place for place in self._places}
        self.due = False
        self.version = 0  # grows with each change

    def page(self, wanted: Wanted) -> tuple[list[str], Following | None] | None:
        """Return the ids on a page of all posts and where the next one goes on; None where the page reaches below these posts."""
        before, places = wanted.before, self._places
        end = len(places) if before is None else bisect_left(places, place_of(before.created_at, before.item_id or ""))
        begin = end - wanted.size
        if begin <= 0:
            if not self._whole:
                return None
            return [_id_of(place) for place in reversed(places[:end])], None
        shown = places[begin:end]
        return [_id_of(place) for place in reversed(shown)], _following(shown[0])

    def apply(self, change: PostChange) -> bool:
        """Take over a changed post as it is now; return False when too few are left."""
        known = self._place_of.get(change.post_id)
        if known is not None and not (change.visible and known == change.place):
            self._remove(change.post_id)
        if change.visible and known != change.place:
            self._insert(change.place)
        return self._whole or len(self._places) > NEWEST // 2

    def renew_head(self, head: Iterable[str], *, whole: bool) -> None:
        """Take over the newest posts as they are now; `whole`: whether these are all that there are."""
        new = sorted(head)
        oldest = new[0] if new and not whole else _OLDEST
        for place in self._places[bisect_left(self._places, oldest) :]:
            self._remove(_id_of(place))
        for place in new:
            self._insert(place)

    def _insert(self, place: str) -> None:
        at = bisect_left(self._places, place)
        if at == 0 and not self._whole:
            return  # older than these
        self.version += 1
        self._places.insert(at, place)
        self._place_of[_id_of(place)] = place
        if len(self._places) > 2 * NEWEST:
            for gone in self._places[:NEWEST]:
                del self._place_of[_id_of(gone)]
            self._places, self._whole = self._places[NEWEST:], False

    def _remove(self, post_id: str) -> None:
        self.version += 1
        place = self._place_of.pop(post_id)
        del self._places[bisect_left(self._places, place)]


@dataclass(frozen=True, slots=True)
class Extent:
    """What a page covers: the places from `oldest` on, below `newest`. `post_ids` has the post after the last as well, which
    decides whether there is more."""

    tag: str | None
    newest: str
    oldest: str
    post_ids: tuple[str, ...]

    @classmethod
    def of(cls, wanted: Wanted, found: list[Following]) -> "Extent":
        """Return that of a page of which up to `size` + 1 posts were found."""
        before = wanted.before
        newest = _NEWEST if before is None else place_of(before.created_at, before.item_id or "")
        oldest = place_of(found[-1].created_at, found[-1].item_id) if len(found) > wanted.size else _OLDEST
        return cls(wanted.tag, newest, oldest, tuple(post.item_id for post in found))


class ChangedPosts:
    """Posts that have changed, as they are now."""

    def __init__(self, changes: Iterable[PostChange]) -> None:
        self._ids: set[str] = set()
        self._gone: set[str] = set()
        self._visible: list[str] = []
        self._tagged: list[str] = []
        for change in changes:
            self._ids.add(change.post_id)
            if not change.visible:
                self._gone.add(change.post_id)
                continue
            self._visible.append(change.place)
            if change.tagged:
                self._tagged.append(change.place)
        self._visible.sort()
        self._tagged.sort()

    def outdate(self, page: Extent) -> bool:
        """Return whether the page is not as MySQL has it now. For a tag also when it may not be: which tags are the same is for
        MySQL's collation to say."""
        if page.tag is not None:
            return not self._ids.isdisjoint(page.post_ids) or bool(_within(self._tagged, page))
        if self._gone and not self._gone.isdisjoint(page.post_ids):
            return True
        return any(_id_of(place) not in page.post_ids for place in _within(self._visible, page))


def _within(places: list[str], page: Extent) -> list[str]:
    return places[bisect_left(places, page.oldest) : bisect_left(places, page.newest)]


def place_of(created_at: datetime, post_id: str) -> str:
    """Return a text that sorts as lists do, written as MySQL writes it."""
    return f"{created_at.astimezone(UTC).replace(tzinfo=None).isoformat(' ', 'microseconds')} {post_id}"


def _id_of(place: str) -> str:
    return place.rpartition(" ")[2]


def _following(place: str) -> Following:
    moment, _, post_id = place.rpartition(" ")
    return Following(datetime.fromisoformat(moment).replace(tzinfo=UTC), post_id)
