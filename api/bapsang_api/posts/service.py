"""Use cases of posts."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Generic

from sqlalchemy import Connection

from bapsang_api.http.content import Content
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Forbidden, NotFound
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.notifications import store as notifications
from bapsang_api.people.hidden import HiddenPeople
from bapsang_api.posts import queries, sight, store
from bapsang_api.posts.counts import ItemView, PostLikes, with_count, with_views
from bapsang_api.posts.holding import FREE, Judgement
from bapsang_api.posts.listing import Wanted
from bapsang_api.posts.lists import PAGES, PostLists
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_HELD
from bapsang_api.posts.pictures import PictureChange
from bapsang_api.posts.reads import POSTS, PostReads
from bapsang_api.posts.searching import PostSearch
from bapsang_api.posts.view import OwnDetailView, OwnItemView, PostItemView
from bapsang_api.posts.views import View, ViewStore
from bapsang_api.posts.wire import own_detail_of, rendered
from bapsang_api.readmodel.entry import Bounds, Usage
from bapsang_api.readmodel.feed import ChangeFeed
from bapsang_api.search.query import Query
from bapsang_api.uploads.rules import Category
from bapsang_api.uploads.service import ImageService
from bapsang_api.uploads.usage import attach, detach

log = logging.getLogger(__name__)

_TRUE, _FALSE = b"true", b"false"


@dataclass(frozen=True)
class Page(Generic[ItemView]):
    """A page of posts and where the next one goes on, None on the last."""

    rows: list[ItemView]
    following: Following | None


@dataclass(frozen=True)
class Detail:
    """A post as its author sees it."""

    row: OwnDetailView
    is_liked: bool


class PostService:
    """Writes and reads posts."""

    def __init__(
        self,
        database: Database,
        views: ViewStore,
        likes: PostLikes,
        images: ImageService,
        clock: Clock,
        ids: Ids,
        feed: ChangeFeed,
        hidden: HiddenPeople,
        *,
        serving: Callable[[], int],
        holds: bool = True,
        bounds: tuple[Bounds, Bounds] = (POSTS, PAGES),
    ) -> None:
        """`serving` returns how many requests the process has in flight. `holds`: whether posts of new accounts may be held back.
        `bounds`: how much of posts and of pages may be kept."""
        self._database, self._views, self._likes, self._images = database, views, likes, images
        self._clock, self._ids, self._hidden, self._holds = clock, ids, hidden, holds
        kept, pages = bounds
        self._reads = PostReads(database, feed, likes, views, partial(rendered, images=images), bounds=kept)
        self._lists = PostLists(database, feed, self._reads, serving, bounds=pages)
        self._search = PostSearch(database)
        likes.listen(self._reads.count_likes)

    def usage(self) -> dict[str, Usage]:
        """Return how much is kept of posts and lists, by cache."""
        return {"posts": self._reads.posts.usage(), **self._lists.usage()}

    async def warm_up(self) -> None:
        """Have the newest posts at hand before they are asked for."""
        await self._reads.warm_up()

    async def create(self, *, user_id: str, fields: Mapping[str, Any], pictures: PictureChange) -> Detail:
        """Publish a post of these columns, or hold it back, and return it as its author sees it.

        Raises InvalidInput for an image that cannot be used.
        """
        published = await self._published(pictures, user_id)
        post_id, now = self._ids.new(), self._clock.now()

        def add(connection: Connection) -> OwnDetailView | None:
            judgement = sight.judge_new(connection, user_id, fields, now) if self._holds else FREE
            attach(connection, published.values(), owner_id=user_id, now=now)
            wanted = pictures.applied((), published)
            store.add(connection, post_id, judgement, user_id=user_id, now=now, fields=fields, pictures=wanted)
            return queries.own_detail(connection, post_id, user_id)

        view = await self._database.write(add)
        if view is None:
            raise NotFound
        return Detail(view, is_liked=False)

    async def change(
        self, post_id: str, *, principal: Principal, fields: Mapping[str, Any], pictures: PictureChange
    ) -> Detail:
        """Change the columns that are given and return the post; counts no view.

        Raises NotFound, Forbidden for another's post, and InvalidInput for an image that cannot be used.
        """
        user_id, now = principal.user_id, self._clock.now()
        published = await self._published(pictures, user_id)

        def rewrite(connection: Connection) -> OwnDetailView | None:
            judgement = self._judged(connection, post_id, user_id, fields, now)
            status = self._lock_own(connection, post_id, user_id)
            current = queries.pictures_of(connection, post_id)
            wanted = pictures.applied(current, published)
            if wanted != list(current):
                detach(connection, (picture.object_key for picture in current), now)
                attach(connection, (picture.object_key for picture in wanted), owner_id=user_id, now=now)
                store.set_pictures(connection, post_id, wanted)
            if wanted != list(current) or fields:
                store.change(connection, post_id, fields, now)
            if judgement is not None:
                sight.apply(connection, post_id, judgement, status, now)
            return queries.own_detail(connection, post_id, user_id)

        view = await self._database.write(rewrite)
        if view is None:
            raise NotFound
        if view.status == STATUS_HELD:
            with after_commit("posts.likes_not_withheld", post_id=post_id):  # likes of what nobody sees do no harm
                await self._likes.withhold(post_id)
        return await self._shown(view, principal)

    async def delete(self, post_id: str, *, user_id: str) -> None:
        """Take a post from sight for good, with its comments and likes. Raises NotFound, and Forbidden for another's."""
        now = self._clock.now()

        def remove(connection: Connection) -> None:
            self._lock_own(connection, post_id, user_id)
            detach(connection, (picture.object_key for picture in queries.pictures_of(connection, post_id)), now)
            store.delete(connection, post_id, now)
            notifications.forget_posts(connection, [post_id])

        await self._database.write(remove)
        # After the commit: likes that Redis lost can be loaded again only while the post is visible.
        with after_commit("posts.likes_not_forgotten", post_id=post_id):  # the write-back drops what they leave behind
            await self._likes.forget(post_id)

    async def listed(self, wanted: Wanted, user_id: str | None) -> Content | bytes:
        """Return the answer to a list as a user sees it, None for whoever has no token. Raises Unavailable."""
        if user_id is not None and self._hidden.may_hide(user_id):
            unseen = await self._hidden.of(user_id)
            if unseen.people:
                return await self._lists.page_without(wanted, unseen.people)
        return await self._lists.page(wanted, user_id)

    async def detail(self, post_id: str, principal: Principal | None, viewer: str | None) -> bytes:
        """Return the answer to a detail and count a view of `viewer`, if any. Raises NotFound, and Unavailable."""
        entry = known = self._reads.posts.peek(post_id)
        if entry is None and is_ulid(post_id):
            entry = await self._reads.posts.get(post_id)
        if entry is None:
            return await self._held(post_id, principal)
        post = entry.value
        if principal is not None and self._hidden.may_hide(principal.user_id):
            unseen = await self._hidden.of(principal.user_id)
            if post.rendered.author_id in unseen.blocked:
                raise NotFound
        if principal is None:
            if viewer is not None:
                self._count_view(post_id, viewer)
            return (await self._reads.counted(post_id, post)).detail(_FALSE)
        # Whoever has a token is told the counts together with whether they like it.
        view, again = View.of(post_id, viewer), known is not None
        liked, likes, views = await self._likes.read(post_id, principal, post.written_likes, view, again=again)
        self._reads.show(post, likes, views)
        return post.rendered.detail(likes, post.comments, post.views, _TRUE if liked else _FALSE)

    async def require_seen(self, post_id: str, user_id: str) -> None:
        """Raise NotFound for a post whose author has blocked the user, or is blocked by them. Raises Unavailable."""
        blocked = (await self._hidden.of(user_id)).blocked
        if blocked and is_ulid(post_id):
            post = await self._reads.post(post_id)
            if post is not None and post.rendered.author_id in blocked:
                raise NotFound

    async def current(self, post_id: str, principal: Principal) -> Detail | None:
        """Return a post as its author sees it now, None once it is deleted or hidden; counts no view."""
        row = await self._database.read(partial(queries.own_detail, post_id=post_id, author_id=principal.user_id))
        return None if row is None else await self._shown(row, principal)

    async def own(self, author_id: str, before: Keyset | None, size: int) -> Page[OwnItemView]:
        """Return up to `size` of the posts that an author sees of their own, older than `before`, newest first, with live counts."""
        rows = await self._database.read_lagging(
            partial(queries.own, author_id=author_id, before=before, limit=size + 1)
        )
        return await self._page(rows, size)

    async def page_at(self, places: list[Following], size: int, user_id: str | None) -> bytes:
        """Return the answer to a list of the posts at up to `size` + 1 places as a user sees them. Raises Unavailable."""
        return await self._lists.page_at(places, size, (await self._hidden.of(user_id)).people)

    async def search(self, query: Query, before: Keyset | None, size: int, user_id: str | None) -> Page[PostItemView]:
        """Return up to `size` posts with all the words in title and content, older than `before`, newest first, as a user sees them.

        There may be fewer although there are more to come. Raises Unavailable.
        """
        viewer_id = user_id if (await self._hidden.of(user_id)).people else None
        return await self.counted(Page(*await self._search.find(query, before, size, viewer_id)))

    async def counted(self, page: Page[ItemView]) -> Page[ItemView]:
        """Return a page with the likes and views that its rows lack."""
        likes, views = await self._reads.live([row.post_id for row in page.rows])
        return Page([with_views(with_count(row, likes), views) for row in page.rows], page.following)

    async def _page(self, rows: list[ItemView], size: int) -> Page[ItemView]:
        listed, following = cut(rows, size, lambda row: Following(row.created_at, row.post_id))
        return await self.counted(Page(listed, following))

    async def _held(self, post_id: str, principal: Principal | None) -> bytes:
        """Return the answer to a detail that is in no list: a post that is held, to its author. Raises NotFound."""
        row = None
        if principal is not None and is_ulid(post_id):
            held = partial(queries.own_detail, post_id=post_id, author_id=principal.user_id)
            row = await self._database.find_lagging(held)
        if row is None:
            raise NotFound
        return own_detail_of(row, self._images, is_liked=False).model_dump_json(by_alias=True).encode()

    def _judged(
        self, connection: Connection, post_id: str, user_id: str, fields: Mapping[str, Any], now: datetime
    ) -> Judgement | None:
        if not self._holds or not is_ulid(post_id):
            return None
        return sight.judge_change(connection, user_id, post_id, fields, now)

    @staticmethod
    def _lock_own(connection: Connection, post_id: str, user_id: str) -> str:
        """Return the state of a post of the user's, ACTIVE or HELD. Raises NotFound and Forbidden."""
        state = store.state(connection, post_id) if is_ulid(post_id) else None
        if state is None or not (
            state.status == STATUS_ACTIVE or (state.status, state.author_id) == (STATUS_HELD, user_id)
        ):
            raise NotFound
        if state.author_id != user_id:
            raise Forbidden
        return state.status

    async def _published(self, pictures: PictureChange, user_id: str) -> dict[str, str]:
        """Return the object key of each image that a request names. Raises InvalidInput."""
        named = pictures.named
        keys = await self._images.publish(named, owner_id=user_id, category=Category.POST_IMAGE)
        return {image.key: key for image, key in zip(named, keys, strict=True)}

    async def _shown(self, row: OwnDetailView, principal: Principal) -> Detail:
        """Return a post that has just been changed, or a while ago: that is done, whether its likes can be read or not."""
        if row.status == STATUS_HELD:
            return Detail(row, is_liked=False)
        liked, likes, views = False, row.like_count, None
        with after_commit("posts.like_not_read", post_id=row.post_id):
            liked, likes, views = await self._likes.read(
                row.post_id, principal, likes, View.of(row.post_id, None), again=False
            )
        shown = with_views(row, {} if views is None else {row.post_id: views})
        return Detail(replace(shown, like_count=likes), liked)

    def _count_view(self, post_id: str, viewer: str) -> None:
        try:
            self._views.count(post_id, viewer, partial(self._reads.count_views, post_id))
        except OUTAGE as error:  # nobody should be refused a post because its view cannot be counted
            log.warning("posts.view_not_counted", extra={"post_id": post_id, "error": type(error).__name__})
