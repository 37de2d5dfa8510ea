"""Use cases of posts."""

import asyncio
import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol, TypeVar

from sqlalchemy.orm import Session

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.cursor import Keyset
from bapsang_api.kit.db import Database
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import NotFound
from bapsang_api.kit.redis import OUTAGE
from bapsang_api.posts import store
from bapsang_api.posts.models import Post, PostContent

log = logging.getLogger(__name__)

_VIEW_BATCH: Final = 500
Row = TypeVar("Row", bound=store.PostRow)


class LikeReader(Protocol):
    """What posts show of likes. Declared here, so that posts need not know the domain that implements it."""

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        """Return the live counts of those posts that have one; the others' rows are up to date."""

    async def liked(self, post_id: str, user_id: str) -> bool:
        """Return whether the user likes the post."""


@dataclass(frozen=True)
class Page:
    """A page of posts and whether older ones follow."""

    rows: list[store.PostRow]
    has_more: bool


@dataclass(frozen=True)
class Detail:
    """A post and what is personal to the one who reads it."""

    row: store.PostDetailRow
    is_liked: bool


class PostService:
    """Writes and reads posts."""

    def __init__(self, database: Database, views: store.ViewStore, likes: LikeReader, clock: Clock, ids: Ids) -> None:
        self._database, self._views, self._likes = database, views, likes
        self._clock, self._ids = clock, ids

    async def create(self, *, user_id: str, title: str, content: str) -> Detail:
        """Publish a post and return it as its detail shows it."""
        post_id, now = self._ids.new(), self._clock.now()

        def add(session: Session) -> store.PostDetailRow | None:
            store.add(
                session,
                Post(id=post_id, user_id=user_id, title=title, created_at=now),
                PostContent(id=post_id, content=content),
            )
            return store.detail(session, post_id)

        row = await self._database.write(add)
        if row is None:
            raise NotFound
        return Detail(row, is_liked=False)

    async def page(self, before: Keyset | None, size: int) -> Page:
        """Return up to `size` posts older than `before`, newest first, with live like counts."""
        # One more than asked for tells whether there is a next page, without a COUNT.
        rows = await self._database.read_lagging(partial(store.page, before=before, limit=size + 1))
        shown = rows[:size]
        counts = await self._likes.counts([row.post_id for row in shown])
        return Page([_with_count(row, counts) for row in shown], has_more=len(rows) > size)

    async def detail(self, post_id: str, *, user_id: str | None, viewer: str) -> Detail:
        """Return a post and count a view of `viewer`. Raises NotFound."""
        row = await self._database.find_lagging(partial(store.detail, post_id=post_id)) if is_ulid(post_id) else None
        if row is None:
            raise NotFound
        counts, liked, _ = await asyncio.gather(
            self._likes.counts([post_id]), self._liked(post_id, user_id), self._count_view(post_id, viewer)
        )
        return Detail(_with_count(row, counts), liked)

    async def flush_views(self) -> int:
        """Write the pending views to the database and return how many there were."""
        total = 0
        while views := await self._views.take(_VIEW_BATCH):
            await self._database.write(partial(store.add_views, views=views))
            total += sum(views.values())
        return total

    async def _liked(self, post_id: str, user_id: str | None) -> bool:
        return user_id is not None and await self._likes.liked(post_id, user_id)

    async def _count_view(self, post_id: str, viewer: str) -> None:
        try:
            await self._views.count(post_id, viewer)
        except OUTAGE as error:  # nobody should be refused a post because its view cannot be counted
            log.warning("posts.view_not_counted", extra={"post_id": post_id, "error": type(error).__name__})


def _with_count(row: Row, counts: dict[str, int]) -> Row:
    return replace(row, like_count=counts.get(row.post_id, row.like_count))
