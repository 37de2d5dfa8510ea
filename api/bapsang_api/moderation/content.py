"""Hiding all that somebody wrote, in batches of one transaction each, and showing again what was hidden so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.comments import service as comments
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.moderation import store, telling
from bapsang_api.moderation.acts import Actor, Acts, Entry, Outcome
from bapsang_api.posts import sight
from bapsang_api.posts import store as posts_store
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_HELD, STATUS_HIDDEN
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_DELETED

BATCH: Final = 100  # posts and comments in a transaction
MOST_BATCHES: Final = 10  # of a request
_STATUSES: Final = (STATUS_ACTIVE, STATUS_HELD, STATUS_HIDDEN)
Find = Callable[[Connection, str, int], list[str]]
FindComments = Callable[[Connection, str, int], list[tuple[str, str]]]


@dataclass(frozen=True)
class Batch:
    """What a transaction has done, and whether there is more."""

    post_ids: list[str]
    comment_ids: list[str]
    more: bool


@dataclass(frozen=True)
class _Way:
    """What is found, and what is done with each."""

    action: str
    said: str
    posts: Find
    comments: FindComments
    turn_post: Callable[[Connection, str, Entry], object]
    turn_comment: Callable[[Connection, str, Entry], object]


_HIDE: Final = _Way(
    "user.hide_content",
    "작성하신 게시글과 댓글이 모두 숨겨졌습니다.",
    store.visible_posts,
    store.visible_comments,
    lambda connection, post_id, entry: sight.hide(connection, post_id, entry.now, entry.id),
    lambda connection, comment_id, entry: comments.hide(connection, comment_id, entry.id),
)
_SHOW: Final = _Way(
    "user.show_content",
    "숨겨졌던 게시글과 댓글이 다시 보입니다.",
    store.posts_hidden_at_once,
    store.comments_hidden_at_once,
    lambda connection, post_id, entry: sight.show(connection, post_id, entry.now),
    lambda connection, comment_id, _: comments.show(connection, comment_id),
)


class ContentModeration:
    """Hides and shows all that somebody wrote, also somebody who has withdrawn. Doing it again goes on where it was left off.

    Each transaction has its own entry in the audit log, with how much it was. Both raise Forbidden when the actor is not an
    administrator, and NotFound.
    """

    def __init__(self, database: Database, likes: LikeService, clock: Clock, ids: Ids) -> None:
        self._acts, self._likes = Acts(database, clock, ids), likes

    async def hide(self, actor: Actor, user_id: str) -> bool:
        """Hide what everybody sees of it; what is hidden or held is left alone. Returns whether that was all."""
        return await self._all(actor, user_id, _HIDE, self._likes.withhold, "moderation.likes_not_withheld")

    async def show(self, actor: Actor, user_id: str) -> bool:
        """Show what was hidden so and not by itself as well. Returns whether that was all."""
        return await self._all(actor, user_id, _SHOW, self._likes.restore, "moderation.likes_not_restored")

    async def _all(
        self, actor: Actor, user_id: str, way: _Way, settle: Callable[[str], Awaitable[None]], event: str
    ) -> bool:
        for _ in range(MOST_BATCHES):
            batch = await self._acts.do(actor, way.action, user_id, partial(_turn, user_id, way))
            for post_id in batch.post_ids:
                with after_commit(event, post_id=post_id):
                    await settle(post_id)
            if not batch.more:
                return True
        return False


def _turn(user_id: str, way: _Way, connection: Connection, entry: Entry) -> Outcome[Batch]:
    account = accounts.account_of(connection, user_id, lock=True)
    if account is None:
        raise NotFound
    post_ids = way.posts(connection, user_id, BATCH)
    places = way.comments(connection, user_id, BATCH - len(post_ids)) if len(post_ids) < BATCH else []
    # All of them first, sorted: two that meet wait in a row, not in a circle.
    for post_id in sorted({*post_ids, *(post_id for post_id, _ in places)}):
        posts_store.lock(connection, post_id, _STATUSES)
    turned = [post_id for post_id in post_ids if way.turn_post(connection, post_id, entry) is not None]
    said = [comment_id for _, comment_id in places if _turned(connection, comment_id, way, entry)]
    if (turned or said) and account.status != STATUS_DELETED:
        telling.of_content(connection, user_id, way.said, entry.now)
    batch = Batch(turned, said, len(post_ids) + len(places) == BATCH)
    return Outcome(batch, f"posts {len(turned)}, comments {len(said)}")


def _turned(connection: Connection, comment_id: str, way: _Way, entry: Entry) -> bool:
    try:
        way.turn_comment(connection, comment_id, entry)
    except NotFound:  # deleted since it was found
        return False
    return True
