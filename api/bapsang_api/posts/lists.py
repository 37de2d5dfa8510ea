"""Lists of posts in the read model: the newest posts, other pages one by one, and their answers as bytes."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bapsang_api.http.content import Content
from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, cut
from bapsang_api.kit.problem import Unavailable
from bapsang_api.posts import queries
from bapsang_api.posts.listing import HEAD, LISTS, NEWEST, TOP, ChangedPosts, Extent, Newest, Wanted
from bapsang_api.posts.reads import PostReads
from bapsang_api.posts.wire import page_bytes
from bapsang_api.readmodel.cache import Cache, Read
from bapsang_api.readmodel.entry import EXPIRED, Bounds, Loaded, Usage
from bapsang_api.readmodel.feed import ChangeFeed, Polled

PAGES: Final = Bounds(entries=500, bytes=2 * 1024 * 1024)  # readers decide which tags and places they list
# A process with more requests than this in flight serves an answer stale for so long while it renews it. Its posts are at most
# HARD_SECONDS old when it is compared with them, so everybody sees a change within 2 s.
BUSY: Final = 8
STALE_SECONDS: Final = 0.5
_ATTEMPTS: Final = 5  # to read posts that are all still there
_ALL: Final = ""  # the key of the newest posts
_ID_BYTES: Final = 88  # with its place in a list


@dataclass(frozen=True, slots=True)
class Page:
    """Which posts are on a page that was read by itself."""

    post_ids: list[str]
    following: Following | None
    extent: Extent


@dataclass(slots=True)
class Body:
    """The answer to a list, of these posts and their revisions."""

    post_ids: list[str]
    following: Following | None
    revisions: list[int]
    content: Content
    verified_at: float  # the last moment before it was compared with its posts
    # While these are what they were, the answer stands without a look at each of its posts, `until` then.
    newest: Newest | None = None
    version: int = 0
    turns: int = 0
    until: float = EXPIRED


class PostLists:
    """Lists by the rule of the read model: an answer is made anew when one of its posts has another revision."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        posts: PostReads,
        serving: Callable[[], int],
        *,
        bounds: Bounds = PAGES,
    ) -> None:
        """`serving` returns how many requests the process has in flight."""
        self._database, self._feed, self._posts, self._serving = database, feed, posts, serving
        self._newest: Cache[str, Newest] = Cache(database, feed, self._load_newest, Bounds(1, 1), affected=_too_few)
        self._pages: Cache[Wanted, Page] = Cache(database, feed, self._load_pages, bounds, affected=_outdated)
        self._bodies: OrderedDict[Wanted, Body] = OrderedDict()
        self._bytes, self._bounds = 0, bounds
        self._heads: Coalescer[str, bool] = Coalescer(self._renew_heads)
        self._renewals: Coalescer[Wanted, Body] = Coalescer(self._renew_all)
        feed.on_message(self._on_message)

    def usage(self) -> dict[str, Usage]:
        return {"pages": self._pages.usage(), "lists": Usage(len(self._bodies), self._bytes)}

    async def page(self, wanted: Wanted, user_id: str | None) -> Content:
        """Return the answer to a list for a user, None for whoever has no token. Raises Unavailable."""
        body = self._bodies.get(wanted)
        if body is not None:
            if self._stands(body, wanted):
                return body.content
            if self._may_be_stale(body, user_id):
                self._renewals.prefetch(wanted)
                return body.content
        return (await self._renew(wanted)).content

    async def page_without(self, wanted: Wanted, hidden: Set[str]) -> bytes:
        """Return the answer to a list without what these people wrote, filled up from the pages behind it.

        It may be short although more follow. Raises Unavailable.
        """
        shown: list[bytes] = []
        last: Following | None = None
        page = wanted
        for _ in range(_ATTEMPTS):
            post_ids, following = await self._listed(page)
            for post_id, post in (await self._posts.all_of(post_ids)).items():
                if len(shown) == wanted.size:
                    return page_bytes(shown, last)
                if post.rendered.author_id not in hidden:
                    shown.append(post.item())
                    last = Following(post.rendered.created_at, post_id)
            if following is None or len(shown) == wanted.size:
                break
            page = Wanted(wanted.tag, following, wanted.size)
        return page_bytes(shown, following)

    async def page_at(self, places: list[Following], size: int, hidden: Set[str]) -> bytes:
        """Return the answer to a list of the posts at up to `size` + 1 places, without what these people wrote. One that has just
        gone is left out. Raises Unavailable.
        """
        shown, following = cut(places, size, lambda place: place)
        post_ids = [place.item_id for place in shown]
        at_hand = self._posts.at_hand(post_ids)
        posts = at_hand[0] if at_hand else (await self._posts.all_of(post_ids)).values()
        return page_bytes([post.item() for post in posts if post.rendered.author_id not in hidden], following)

    def _may_be_stale(self, body: Body, user_id: str | None) -> bool:
        """Whoever has written lately must see it, and nobody has to wait for long while there is little to do."""
        if self._serving() <= BUSY or self._feed.now() >= body.verified_at + STALE_SECONDS:
            return False
        return user_id is None or not self._feed.wrote_recently(user_id)

    async def _renew_all(self, pages: Collection[Wanted]) -> dict[Wanted, Body]:
        return dict(zip(pages, await asyncio.gather(*map(self._renew, pages)), strict=True))

    async def _renew(self, wanted: Wanted) -> Body:
        for _ in range(_ATTEMPTS):
            asked = self._feed.now()
            post_ids, following = await self._listed(wanted)
            at_hand, turns = self._posts.at_hand(post_ids), self._posts.posts.turns
            posts, until = at_hand or (list((await self._posts.all_of(post_ids)).values()), EXPIRED)
            if len(posts) == len(post_ids):
                break
            self._newest.expire(_ALL)  # one has just gone, and another has its place
            self._pages.expire(wanted)
        else:
            raise Unavailable  # as many have gone as were read
        revisions = [post.revision for post in posts]
        body = self._bodies.get(wanted)
        if body is None or (body.post_ids, body.following, body.revisions) != (post_ids, following, revisions):
            content = Content(page_bytes([post.item() for post in posts], following))
            body = self._keep(wanted, Body(post_ids, following, revisions, content, asked))
        body.verified_at = max(body.verified_at, asked)
        newest = self._newest.find(_ALL)
        if newest is not None and wanted.tag is None:
            body.newest, body.version, body.turns, body.until = newest.value, newest.value.version, turns, until
        return body

    def _stands(self, body: Body, wanted: Wanted) -> bool:
        newest = self._newest.peek(_ALL)
        if newest is None or body.newest is not newest.value or body.version != newest.value.version:
            return False
        if body.turns != self._posts.posts.turns or (newest.value.due and wanted.before is None):
            return False
        now = self._feed.now()
        if now >= min(body.until, self._feed.fresh_until):
            return False
        body.verified_at = now
        return True

    async def _listed(self, wanted: Wanted) -> tuple[list[str], Following | None]:
        """Return which posts are on a page, and where the next one goes on."""
        if wanted.tag is None:
            newest = self._newest.peek(_ALL) or await self._newest.get(_ALL)
            assert newest is not None  # noqa: S101 - be it none
            if wanted.before is None and newest.value.due:
                await self._heads.get(_ALL)
            listed = newest.value.page(wanted)
            if listed is not None:
                return listed
        entry = self._pages.peek(wanted) or await self._pages.get(wanted)
        assert entry is not None  # noqa: S101 - there is every page, be it empty
        return entry.value.post_ids, entry.value.following

    def _on_message(self, names: Collection[str]) -> None:
        if TOP in names and (newest := self._newest.find(_ALL)) is not None:
            newest.value.due = True

    async def _renew_heads(self, _: Collection[str]) -> dict[str, bool]:
        newest = self._newest.find(_ALL)
        if newest is not None:
            newest.value.due = False
            try:
                head = await self._database.read(partial(queries.newest, most=HEAD))
            except Unavailable:
                newest.value.due = True
                raise
            newest.value.renew_head(head, whole=len(head) < HEAD)
        return {}

    def _keep(self, wanted: Wanted, body: Body) -> Body:
        known = self._bodies.pop(wanted, None)
        self._bodies[wanted] = body
        self._bytes += _size_of(body) - (_size_of(known) if known else 0)
        while len(self._bodies) > self._bounds.entries or self._bytes > self._bounds.bytes:
            _, oldest = self._bodies.popitem(last=False)
            self._bytes -= _size_of(oldest)
        return body

    async def _load_pages(
        self, asked_for: Collection[Wanted], _: Mapping[Wanted, Page], read: Read[Any]
    ) -> dict[Wanted, Loaded[Page]]:
        found = await read(partial(_read_places, asked_for))
        loaded = {}
        for wanted, places in found.items():
            shown, following = cut(places, wanted.size, lambda place: place)
            page = Page([place.item_id for place in shown], following, Extent.of(wanted, places))
            loaded[wanted] = Loaded(page, wanted.names, _ID_BYTES * len(page.post_ids))
        return loaded

    async def _load_newest(
        self, _: Collection[str], __: Mapping[str, Newest], read: Read[Any]
    ) -> dict[str, Loaded[Newest]]:
        asked = self._feed.now()
        places = await read(partial(queries.newest, most=NEWEST))
        newest = Newest(places, whole=len(places) < NEWEST)
        newest.due = self._feed.changed_since(asked, TOP)
        return {_ALL: Loaded(newest, (LISTS,), 0)}


def _read_places(asked_for: Collection[Wanted], connection: Connection) -> dict[Wanted, list[Following]]:
    return {wanted: queries.places(connection, wanted.tag, wanted.before, wanted.size + 1) for wanted in asked_for}


def _outdated(pages: Cache[Wanted, Page], polled: Polled) -> list[Wanted]:
    posts = ChangedPosts(polled.posts)
    return [entry.key for entry in pages.entries() if entry.followed and posts.outdate(entry.value.extent)]


def _too_few(cache: Cache[str, Newest], polled: Polled) -> list[str]:
    """Take over what was polled; return the key when too few posts are left."""
    entry = cache.find(_ALL)
    if entry is None:
        return []
    enough = [entry.value.apply(change) for change in polled.posts]
    return [] if all(enough) else [_ALL]


def _size_of(body: Body) -> int:
    """Return the bytes of what grows with what is asked for."""
    return _ID_BYTES * len(body.post_ids) + body.content.size
