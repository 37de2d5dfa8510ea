"""Pages of comments in the read model, as bytes.

A page is right while its post has the version of comments that it was read at, and none of its authors has changed.
"""

from collections.abc import Callable, Collection, Mapping, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bapsang_api.comments import store
from bapsang_api.comments.threads import MOST_INLINE, Page, page_of, without
from bapsang_api.http.content import Content
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.readmodel.cache import Cache, Read
from bapsang_api.readmodel.entry import Bounds, Loaded, Usage
from bapsang_api.readmodel.feed import ChangeFeed, Polled

PAGES: Final = Bounds(entries=2_000, bytes=6 * 1024 * 1024)  # writers decide how long comments are
_NAME_BYTES: Final = 150  # of an author's id, here and in the index


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page: up to `size` comments on top of a post, older than `before`, newest first."""

    post_id: str
    before: Keyset | None
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A page as it is answered, and the version of the post's comments."""

    version: int
    content: Content


Render = Callable[[Page], bytes]


class CommentReads:
    """The pages that a process keeps."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        render: Render,
        *,
        bounds: Bounds = PAGES,
    ) -> None:
        """`render` is called on a thread of the database's: of 100 comments with 50 replies each it takes 0.3 s."""
        self._database, self._render = database, render
        self._pages: Cache[Wanted, Answer] = Cache(database, feed, self._load, bounds, affected=_outdated)

    def usage(self) -> Usage:
        return self._pages.usage()

    async def page(self, wanted: Wanted) -> Content | None:
        """Return the answer to a list, None where there is no such post to see. Raises Unavailable."""
        entry = self._pages.peek(wanted) or await self._pages.get(wanted)
        return None if entry is None else entry.value.content

    async def page_without(self, wanted: Wanted, hidden: Set[str]) -> Content | bytes | None:
        """Return the answer to a list for somebody who does not see these people. It may be short although more follow."""
        entry = self._pages.peek(wanted) or await self._pages.get(wanted)
        if entry is None or hidden.isdisjoint(entry.names):
            return None if entry is None else entry.value.content
        return await self._database.read_lagging(partial(_read_without, wanted, hidden, self._render))

    async def _load(
        self, asked_for: Collection[Wanted], _: Mapping[Wanted, Answer], read: Read[Any]
    ) -> dict[Wanted, Loaded[Answer]]:
        loaded: dict[Wanted, Loaded[Answer]] = await read(partial(_read, asked_for, self._render))
        return loaded


def _read(asked_for: Collection[Wanted], render: Render, connection: Connection) -> dict[Wanted, Loaded[Answer]]:
    # Before the comments: what is written meanwhile leaves a version that is too old, never one that is too new.
    versions = store.versions_of(connection, {wanted.post_id for wanted in asked_for})
    found = {}
    for wanted in asked_for:
        version = versions.get(wanted.post_id)
        if version is None:
            continue
        roots, replies = _rows(connection, wanted)
        author_ids = frozenset(row.author_id for row in (*roots, *replies))
        content = Content(render(page_of(roots, replies, wanted.size)))
        size = content.size + _NAME_BYTES * (1 + len(author_ids))
        found[wanted] = Loaded(Answer(version, content), (wanted.post_id, *author_ids), size)
    return found


def _read_without(wanted: Wanted, hidden: Set[str], render: Render, connection: Connection) -> bytes:
    return render(without(page_of(*_rows(connection, wanted), wanted.size), hidden))


def _rows(connection: Connection, wanted: Wanted) -> tuple[list[store.CommentRow], list[store.CommentRow]]:
    """Return the comments on top of a page, and one more, and the oldest replies of each."""
    roots = store.roots(connection, wanted.post_id, wanted.before, wanted.size + 1)
    answered = [row.comment_id for row in roots[: wanted.size] if row.reply_count]
    return roots, store.first_replies(connection, answered, MOST_INLINE + 1)


def _outdated(pages: Cache[Wanted, Answer], polled: Polled) -> set[Wanted]:
    posts = {post.post_id: post for post in polled.posts}
    outdated = set()
    for wanted in pages.showing(polled.names):
        post, entry = posts.get(wanted.post_id), pages.find(wanted)
        if entry is not None and (post is None or not post.visible or post.comment_version != entry.value.version):
            outdated.add(wanted)
    return outdated
