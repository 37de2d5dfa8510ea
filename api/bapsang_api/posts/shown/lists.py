"""The lists of posts that a process keeps: which posts are on a page, and the page as it is answered."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.batch import Batch
from bapsang_api.kit.cursor import Following, Keyset, cut
from bapsang_api.kit.db import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts.shown import store
from bapsang_api.posts.shown.cache import WITHOUT_DATABASE, PostCache, may_show
from bapsang_api.posts.shown.copies import Copy
from bapsang_api.posts.shown.recent import CURRENT_SECONDS
from bapsang_api.posts.shown.wire import page_bytes
from bapsang_api.posts.store import LISTS, TOP

_MOST: Final = 500  # pages
# After which a page is read again, whatever has changed: a post that is shown again comes back in the midst of the list, and if
# nobody told of it, it looks like any other that has changed.
_LONGEST: Final = 10.0
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
    checked: float
    body: bytes = b""
    rendered: float = -1.0


class PostLists:
    """The pages. Which posts are on one is read again when one came or went, and now and then."""

    def __init__(self, database: Database, posts: PostCache, timer: Callable[[], float] = time.monotonic) -> None:
        self._database, self._posts, self._timer = database, posts, timer
        self._pages: OrderedDict[Wanted, _Page] = OrderedDict()
        self._looks: Batch[Wanted, _Page] = Batch(self._look)

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
        rendered = self._timer()
        items = [copy.item() for copy in await self._shown(page.post_ids)]
        page.body, page.rendered = page_bytes(items, page.following), rendered
        return page.body

    def _usable(self, wanted: Wanted, page: _Page) -> bool:
        if self._changed_since(page.checked, wanted):
            return False
        return may_show(self._posts.age(page.checked, _LONGEST), self._looks, wanted)

    def _changed_since(self, moment: float, wanted: Wanted) -> bool:
        # What is new is younger than any place in the list: pages further down do not have it.
        return self._posts.recent.since(moment, LISTS, *((TOP,) if wanted.before is None else ()))

    async def _looked(self, wanted: Wanted) -> _Page:
        try:
            page = await self._looks.get(wanted)
        except Unavailable:
            page = self._pages.get(wanted)
            if page is None or self._timer() - page.checked >= WITHOUT_DATABASE:
                raise
        assert page is not None  # noqa: S101 - every page is found, be it empty
        return page

    async def _look(self, asked_for: Collection[Wanted]) -> dict[Wanted, _Page]:
        checked = self._timer()
        must_be_current = self._posts.recent.since(checked - CURRENT_SECONDS, LISTS, TOP)
        read = self._database.read if must_be_current else self._database.read_lagging
        found = await read(partial(_read, list(asked_for)))
        for wanted, places in found.items():
            shown, following = cut(places, wanted.size, lambda place: place)
            self._pages[wanted] = _Page([place.item_id for place in shown], following, checked)
            self._pages.move_to_end(wanted)
        while len(self._pages) > _MOST:
            self._pages.popitem(last=False)
        return {wanted: self._pages[wanted] for wanted in found if wanted in self._pages}

    async def _shown(self, post_ids: list[str]) -> list[Copy]:
        """Return the posts that are there; one that has just gone is left out."""
        at_hand = {post_id: self._posts.peek_counted(post_id) for post_id in post_ids}
        missing = [post_id for post_id, copy in at_hand.items() if copy is None]
        found = dict(zip(missing, await asyncio.gather(*map(self._posts.find_counted, missing)), strict=True))
        copies = (at_hand[post_id] or found[post_id] for post_id in post_ids)
        return [copy for copy in copies if copy is not None]


def _read(asked_for: list[Wanted], connection: Connection) -> dict[Wanted, list[Following]]:
    return {wanted: store.places(connection, wanted.tag, wanted.before, wanted.size + 1) for wanted in asked_for}
