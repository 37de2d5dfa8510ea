"""The lists of posts that a process keeps: which posts are on a page, and the page as it is answered.

A page is shown if it is of the current generation (no message since told that a post came or went), if the watch has found no
changed row that contradicts it, and if it is as right as the watch's last answer. An age never makes a page right: it only says
when to ask again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.bounds import USUAL, Bounds, Usage
from bapsang_api.posts.shown.cache import WITHOUT_DATABASE, PostCache, may_show
from bapsang_api.posts.shown.copies import Copy
from bapsang_api.posts.shown.outdated import ChangedPosts, Extent
from bapsang_api.posts.shown.recent import CURRENT_SECONDS
from bapsang_api.posts.shown.wire import page_bytes
from bapsang_api.posts.store import LISTS, TOP

_ID_BYTES: Final = 88  # with its place in a list
_OUTDATED: Final = -1  # the generation of a page that a changed row contradicts
# After which a page is read again, whatever is known to have changed: a transaction took longer to commit than the watch looks
# back, or the page was read from a replica that lagged by more than CURRENT_SECONDS.
LONGEST: Final = 10.0
# Seconds for which an answer is given again as it was made. With USABLE before it: within two seconds all see a change.
_RENDERED: Final = 0.25


@dataclass(frozen=True)
class Wanted:
    """A page: up to `size` posts, of all or of those with the tag, older than `before`, newest first."""

    tag: str | None
    before: Keyset | None
    size: int


@dataclass(slots=True)
class _Page:
    """The posts of a page as of `checked` (monotonic seconds), and its answer as of `rendered`."""

    post_ids: list[str]
    following: Following | None
    extent: Extent
    generation: int
    checked: float
    changed: bool  # since then, or perhaps
    body: bytes = b""
    rendered: float = -1.0

    @property
    def size(self) -> int:
        """The bytes of what grows with what is asked for."""
        return _ID_BYTES * len(self.post_ids) + len(self.body)


class PostLists:
    """The pages. Which posts are on one is read again when one came or went."""

    def __init__(
        self,
        database: Database,
        posts: PostCache,
        timer: Callable[[], float] = time.monotonic,
        bounds: Bounds = USUAL,
    ) -> None:
        self._database, self._posts, self._timer, self._bounds = database, posts, timer, bounds
        self._pages: OrderedDict[Wanted, _Page] = OrderedDict()
        self._bytes = 0
        self._looks: Coalescer[Wanted, _Page] = Coalescer(self._look)
        # How often messages told that a post came or went, and that a new one came on top of lists.
        self._lists, self._tops = 0, 0
        self._told = 0  # how often the watch has told of changed posts
        self._changed = float("-inf")  # when posts last changed, as far as is known

    def usage(self) -> Usage:
        """Return how much is kept of pages."""
        return Usage(len(self._pages), self._bytes)

    def change(self, names: Collection[str]) -> None:
        """Show no page before it has been read again that these changes put out of date."""
        if LISTS in names:
            self._lists += 1
        elif TOP in names:
            self._tops += 1
        else:
            return
        self._changed = self._timer()

    def watch(self, changes: Collection[str]) -> None:
        """Take note of changed posts, as `store.Changed` tells them."""
        posts = ChangedPosts(changes)
        if not posts.post_ids:
            return
        self._changed = self._timer()
        self._told += 1
        for wanted, page in self._pages.items():
            if page.generation != _OUTDATED and posts.outdate(page.extent):
                page.checked, page.changed = self._right_until(wanted, page), True
                page.generation = _OUTDATED

    def peek(self, wanted: Wanted) -> bytes | None:
        """Return the answer if it is at hand and may be shown right now."""
        page = self._pages.get(wanted)
        if page is None or not self._usable(wanted, page):
            return None
        if self._timer() - page.rendered < _RENDERED and not self._posts.changed_since(page.rendered, page.post_ids):
            return page.body
        return None

    async def get(self, wanted: Wanted) -> bytes:
        """Return the answer as it is now. Raises Unavailable."""
        page = self._pages.get(wanted)
        if page is None or not self._usable(wanted, page):
            page = await self._looked(wanted)
        rendered, copies = self._timer(), await self._shown(page.post_ids)
        if len(copies) < len(page.post_ids):  # one has just gone, and another has its place
            self._changed = self._timer()
            page = await self._looked(wanted)
            rendered, copies = self._timer(), await self._shown(page.post_ids)
        before = page.size
        page.body, page.rendered = page_bytes([copy.item() for copy in copies], page.following), rendered
        if self._pages.get(wanted) is page:
            self._count(page.size - before)
        return page.body

    def _usable(self, wanted: Wanted, page: _Page) -> bool:
        if page.generation != self._generation(wanted):
            return False
        age = self._timer() - page.checked if page.changed else self._posts.age(page.checked, LONGEST)
        return may_show(age, self._looks, wanted)

    def _generation(self, wanted: Wanted) -> int:
        # What is new is younger than any place in the list: pages further down do not have it.
        return self._lists + (self._tops if wanted.before is None else 0)

    def _right_until(self, wanted: Wanted, page: _Page) -> float:
        if page.changed or page.generation != self._generation(wanted):
            return page.checked
        return self._posts.watched_until(page.checked)

    async def _looked(self, wanted: Wanted) -> _Page:
        try:
            page = await self._looks.get(wanted)
        except Unavailable:
            page = self._pages.get(wanted)
            if page is None or self._timer() - self._right_until(wanted, page) >= WITHOUT_DATABASE:
                raise
        assert page is not None  # noqa: S101 - every page is found, be it empty
        return page

    async def _look(self, asked_for: Collection[Wanted]) -> dict[Wanted, _Page]:
        checked, told = self._timer(), self._told
        generations = {wanted: self._generation(wanted) for wanted in asked_for}
        may_lag = self._changed < checked - CURRENT_SECONDS and self._posts.replica_will_do()
        read = self._database.read_lagging if may_lag else self._database.read
        found = await read(partial(_read, list(asked_for)))
        looked = {}
        for wanted, places in found.items():
            shown, following = cut(places, wanted.size, lambda place: place)
            known = self._pages.pop(wanted, None)
            page = looked[wanted] = self._pages[wanted] = _Page(
                [place.item_id for place in shown],
                following,
                Extent.of(wanted.tag, wanted.before, wanted.size, places),
                generations[wanted],
                checked,
                # What the watch told meanwhile it may lack, and nobody tells that again.
                changed=self._told != told or not self._posts.answering,
            )
            self._count(page.size - (known.size if known else 0))
        return looked

    def _count(self, more: int) -> None:
        """Count bytes, and forget what was read longest ago while there is too much."""
        self._bytes += more
        while self._bytes > self._bounds.pages_bytes or len(self._pages) > self._bounds.pages:
            _, oldest = self._pages.popitem(last=False)
            self._bytes -= oldest.size

    async def _shown(self, post_ids: list[str]) -> list[Copy]:
        """Return the posts that are there; one that has just gone is left out."""
        at_hand = {post_id: self._posts.peek_counted(post_id) for post_id in post_ids}
        missing = [post_id for post_id, copy in at_hand.items() if copy is None]
        found = dict(zip(missing, await asyncio.gather(*map(self._posts.find_counted, missing)), strict=True))
        copies = (at_hand[post_id] or found[post_id] for post_id in post_ids)
        return [copy for copy in copies if copy is not None]


def _read(asked_for: list[Wanted], connection: Connection) -> dict[Wanted, list[Following]]:
    return {wanted: store.places(connection, wanted.tag, wanted.before, wanted.size + 1) for wanted in asked_for}
