"""The copies of posts and lists that a process keeps, and how it knows that they are still right.

Twice a second one statement asks what has changed at all (watch.py): what has not is as right as that answer, however many
copies there are. Right as of a moment (FRESH) ago, a copy is shown without a question, and for as long again while it is looked
at in the background; the looks of all requests are one statement that reads counts and versions, and only what has another
version is read anew. What a change is told of is looked at before it is shown again, in the writer: its author sees it at
once. So nothing here has to be told to be right, within two seconds.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.bounds import USUAL, Bounds, Usage
from bapsang_api.posts.shown.copies import Copy, Shelf
from bapsang_api.posts.shown.recent import CURRENT_SECONDS, Recent
from bapsang_api.posts.shown.store import PostDetailRow, Standing
from bapsang_api.posts.shown.wire import Parts
from bapsang_api.posts.shown.written import Written

K = TypeVar("K")
V = TypeVar("V")

FRESH: Final = 0.7  # seconds: shown as it is
USABLE: Final = 1.4  # shown, and looked at meanwhile
# A copy is looked at anew after this long, whatever is said to have changed: its views are written without a word, a transaction
# took longer to commit than the watch looks back, or it was read from a replica that lagged by more than CURRENT_SECONDS.
LONGEST: Final = 60.0
# While the database does not answer nothing can change in it either.
WITHOUT_DATABASE: Final = 300.0


def may_show(age: float, looks: Coalescer[K, V], key: K) -> bool:
    """Return whether what is that old may be shown; from FRESH on it is looked at meanwhile."""
    if age >= FRESH:
        if age >= USABLE:
            return False
        looks.prefetch(key)
    return True


class LiveCounts(Protocol):
    """What is needed of likes."""

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        """Return the live counts of those posts that have one; the others' rows are up to date."""


@dataclass(slots=True)
class _Look:
    """What one statement after the other has found of some posts."""

    standings: dict[str, Standing] = field(default_factory=dict)
    details: dict[str, PostDetailRow] = field(default_factory=dict)


class PostCache:
    """The copies of posts."""

    def __init__(
        self,
        database: Database,
        likes: LiveCounts,
        render: Callable[[PostDetailRow], Parts],
        timer: Callable[[], float] = time.monotonic,
        bounds: Bounds = USUAL,
    ) -> None:
        self._database, self._likes, self._render, self._timer = database, likes, render, timer
        self._bounds = bounds
        self._copies: OrderedDict[str, Copy] = OrderedDict()
        self._shelf = Shelf(render, bounds)
        self._written = Written()
        self._bytes = 0
        self._looks: Coalescer[str, Copy] = Coalescer(self._look)
        self._counts: Coalescer[str, Copy] = Coalescer(self._count)
        # What was checked since `_watched` and has not changed is right as of `_as_of`.
        self._watched, self._as_of = float("inf"), float("-inf")
        self.recent = Recent(timer)
        self.answering = True  # the database, when it was last asked what has changed

    def usage(self) -> dict[str, Usage]:
        """Return how much is kept of all posts, and of those that lie open."""
        return {"posts": Usage(len(self._copies), self._bytes), "open_posts": self._shelf.usage()}

    def peek(self, post_id: str) -> Copy | None:
        """Return the copy of a post if it may be shown right now, but for its likes."""
        copy = self._copies.get(post_id)
        if copy is None:
            return None
        if not may_show(self._age(copy), self._looks, post_id):
            return None
        self._copies.move_to_end(post_id)
        return copy

    def peek_counted(self, post_id: str) -> Copy | None:
        """Return the copy of a post if it may be shown right now, with its likes."""
        copy = self.peek(post_id)
        if copy is None or not may_show(self._timer() - copy.counted, self._counts, post_id):
            return None
        return copy

    async def find(self, post_id: str) -> Copy | None:
        """Return the copy of a post as it stands now, None without such a post. Raises Unavailable."""
        try:
            copy = await self._looks.get(post_id)
        except Unavailable:
            copy = self._copies.get(post_id)
            if copy is None or self._age(copy) >= WITHOUT_DATABASE:
                raise
        return copy

    async def find_counted(self, post_id: str) -> Copy | None:
        """Return the copy of a post with its likes as they are now, None without such a post. Raises Unavailable."""
        if self.peek(post_id) is None:
            return await self.find(post_id)
        return await self._counts.get(post_id) or await self.find(post_id)

    async def take(self, post_ids: Collection[str]) -> bool:
        """Take copies of posts before anybody asks for them; return whether there is room for more. Raises Unavailable."""
        new = [post_id for post_id in post_ids if post_id not in self._copies]
        if new:
            await self._look(new)
        for post_id in new:
            if post_id in self._copies:
                self._copies.move_to_end(post_id, last=False)  # the first to go
        bounds = self._bounds
        return len(self._copies) + len(post_ids) <= bounds.posts and self._bytes < 0.9 * bounds.posts_bytes

    def change(self, names: Collection[str]) -> None:
        """Show none of these posts, nor posts of these authors, before they have been looked at again."""
        for copy in self._note(names):
            copy.checked, copy.changed = -WITHOUT_DATABASE, True

    def watch(self, changed: Collection[str], asked: float, *, since_last: bool) -> None:
        """Take note that these posts and authors have changed and no others, as of `asked`, since this was said last; or,
        not `since_last`, that nobody knows what else has.
        """
        for copy in self._note(changed):
            # Also what was looked at meanwhile: it may have been read before the change, or from a replica in an outage.
            if not self.answering:
                copy.checked, copy.changed = -WITHOUT_DATABASE, True
            elif not copy.changed:
                copy.checked, copy.changed = self.watched_until(copy.checked), True
        self._as_of, self.answering = asked, True
        if not since_last:
            self._watched = asked

    def count_likes(self, post_id: str, likes: int) -> None:
        """Show this count from now on."""
        copy = self._copies.get(post_id)
        if copy is not None:
            copy.counted = self._timer()
            if copy.likes != likes:
                copy.likes = likes
                self.recent.note((_likes_of(post_id),))

    def replica_will_do(self) -> bool:
        """Return whether a replica may be asked for what is not known to have changed: all that has changed within CURRENT_SECONDS
        is known. A process that has just started, or whose watch is late, asks the writer, but not while that does not answer.
        """
        now = self._timer()
        return not self.answering or (now - self._as_of < USABLE and self._watched <= now - CURRENT_SECONDS)

    def changed_since(self, moment: float, post_ids: Iterable[str]) -> bool:
        """Return whether what a list shows of one of these posts may have changed after `moment`."""
        recent = self.recent
        return recent.last >= moment and any(recent.since(moment, name, _likes_of(name)) for name in post_ids)

    def age(self, checked: float, longest: float) -> float:
        """Return how long ago what was checked then was right, as far as is watched; after `longest` it is due for a look."""
        now = self._timer()
        age = now - self.watched_until(checked)
        return max(age, FRESH) if now - checked >= longest else age

    def watched_until(self, checked: float) -> float:
        """Return until when what was checked then is known to be right, if nothing was told of it."""
        return max(checked, self._as_of) if checked >= self._watched else checked

    def _age(self, copy: Copy) -> float:
        return self._timer() - copy.checked if copy.changed else self.age(copy.checked, LONGEST)

    def _note(self, names: Collection[str]) -> list[Copy]:
        """Note a change of these posts and authors; return the copies that show it."""
        if not names:
            return []
        # A list knows its posts, not who wrote them.
        changed = set(names).union(*(self._written.of(name) for name in names))
        self.recent.note(changed)
        return [copy for name in changed if (copy := self._copies.get(name)) is not None]

    async def _count(self, post_ids: Collection[str]) -> dict[str, Copy]:
        asked = self._timer()
        counts = await self._likes.counts(list(post_ids))
        found = {name: copy for name in post_ids if (copy := self._copies.get(name)) is not None}
        for post_id, copy in found.items():
            if copy.counted < asked:
                self.count_likes(post_id, counts.get(post_id, copy.standing.like_count))
                copy.counted = asked
        return found

    async def _look(self, post_ids: Collection[str]) -> dict[str, Copy]:
        asked = self._timer()
        # As they are now: one that is evicted meanwhile must not make its post look as if there were none.
        known = {name: copy for name in post_ids if (copy := self._copies.get(name)) is not None}
        counts = await self._likes.counts(list(post_ids))
        look = await self._read(post_ids, known, asked)
        found = {}
        for post_id in post_ids:
            standing = look.standings.get(post_id)
            if standing is None:
                self._drop(post_id)
                continue
            row, copy = look.details.get(post_id), known.get(post_id)
            if row is not None:
                packed = self._shelf.pack(self._render(row))
            elif copy is not None and copy.standing.version == standing.version:
                packed = copy.packed
            else:  # deleted between the two statements
                continue
            found[post_id] = self._keep(post_id, packed, standing, counts.get(post_id, standing.like_count), asked)
        return found

    async def _read(self, post_ids: Collection[str], known: Mapping[str, Copy], asked: float) -> _Look:
        reading = partial(_reading, {name: copy.standing.version for name, copy in known.items()})
        lagging = (
            {name for name in post_ids if not self._must_be_current(name, asked)} if self._database.lags else set()
        )
        current = [name for name in post_ids if name not in lagging]
        look = _Look()
        if lagging:
            look = await self._database.read_lagging(partial(reading, list(lagging), look))
        # A link may be faster than the replica: what is not there yet is looked for where it was written. So is what its author
        # has changed a moment ago, who is known only now.
        missing = [name for name in lagging if self._may_lack(look.standings.get(name), asked)]
        if current or missing:
            look = await self._database.read(partial(reading, current + missing, look))
        return look

    def _must_be_current(self, post_id: str, asked: float) -> bool:
        copy = self._copies.get(post_id)
        names = (post_id,) if copy is None else (post_id, copy.standing.author_id)
        return not self.replica_will_do() or self.recent.since(asked - CURRENT_SECONDS, *names)

    def _may_lack(self, standing: Standing | None, asked: float) -> bool:
        return standing is None or self.recent.since(asked - CURRENT_SECONDS, standing.author_id)

    def _keep(self, post_id: str, packed: bytes, standing: Standing, likes: int, asked: float) -> Copy:
        known, checked = self._copies.get(post_id), asked
        if self.recent.since(asked, post_id, standing.author_id):
            checked = -WITHOUT_DATABASE  # changed while it was read: whoever asks next has it looked at again
        if known is not None and self.recent.since(asked, _likes_of(post_id)):
            likes = known.likes
        self._drop(post_id)
        # While nobody is told what changes, a replica may have answered that lacks what was told before.
        changed = not self.answering
        copy = self._copies[post_id] = Copy(self._shelf, packed, standing, likes, checked, asked, changed)
        self._written.add(standing.author_id, post_id)
        self._bytes += len(packed)
        while len(self._copies) > self._bounds.posts or self._bytes > self._bounds.posts_bytes:
            oldest, _ = next(iter(self._copies.items()))
            self._drop(oldest)
        return copy

    def _drop(self, post_id: str) -> None:
        copy = self._copies.pop(post_id, None)
        if copy is not None:
            self._bytes -= len(copy.packed)
            self._written.remove(copy.standing.author_id, post_id)


def _reading(versions: Mapping[str, object], post_ids: list[str], before: _Look, connection: Connection) -> _Look:
    known = [name for name in post_ids if name in versions]
    standings = store.standings(connection, known) if known else {}
    changed = [name for name, standing in standings.items() if versions[name] != standing.version]
    new = changed + [name for name in post_ids if name not in versions]
    details = store.details(connection, new) if new else {}
    standings |= {name: standing for name, (standing, _) in details.items()}
    return _Look(before.standings | standings, before.details | {name: row for name, (_, row) in details.items()})


def _likes_of(post_id: str) -> str:
    return f"likes:{post_id}"
