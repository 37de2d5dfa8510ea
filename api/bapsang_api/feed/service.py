"""Use case of the feed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from bapsang_api.feed import atom, store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.concurrency import SingleFlight
from bapsang_api.kit.db.database import Database
from bapsang_api.uploads.photo import JPEG
from bapsang_api.uploads.service import DETAIL_WIDTH, ImageService

LENGTH: Final = 50
# Readers may keep it for as long, too: what is deleted goes from the feed after at most two of these.
FRESH: Final = timedelta(seconds=60)


@dataclass(frozen=True)
class Feed:
    """The feed as it was a moment ago."""

    body: bytes
    last_change: datetime
    fresh_until: datetime


class FeedService:
    """Keeps the rendered feed: it has no limit of requests, so it must cost the database next to nothing."""

    def __init__(self, database: Database, images: ImageService, clock: Clock, site: str) -> None:
        """`site` is the origin at which the community is read."""
        self._database, self._images, self._clock, self._site = database, images, clock, site.rstrip("/")
        self._flight, self._feed = SingleFlight(), Feed(b"", clock.now(), clock.now())

    async def current(self) -> Feed:
        """Return the newest posts, as of at most FRESH ago. Raises Unavailable."""
        if self._clock.now() >= self._feed.fresh_until:
            await self._flight.run("feed", self._render)
        return self._feed

    async def _render(self) -> None:
        now = self._clock.now()
        rows = await self._database.read_lagging(partial(store.newest, limit=LENGTH))
        entries = [
            atom.Entry(
                post_id=row.post.post_id,
                title=row.post.title,
                content=row.content,
                author=row.post.nickname,
                tags=row.post.tags,
                image_url=self._images.url(row.post.image_key, row.post.photo, DETAIL_WIDTH, JPEG),
                created_at=row.post.created_at,
                updated_at=row.updated_at or row.post.created_at,
            )
            for row in rows
        ]
        self._feed = Feed(atom.render(entries, self._site), atom.last_change(entries), now + FRESH)
