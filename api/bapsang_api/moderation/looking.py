"""What administrators look up. Who looks up a person is recorded as well; an e-mail that was looked for is not, in no form."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import FieldError, InvalidInput, NotFound
from bapsang_api.moderation import queries
from bapsang_api.moderation.acts import Actor, Acts, Entry, Outcome
from bapsang_api.moderation.queries import AuditRow, CommentRow, Counts, HeldRow, Hold, UserRow, UserState
from bapsang_api.posts import queries as posts
from bapsang_api.posts.view import OwnDetailView
from bapsang_api.users import store as accounts

MOST_ASKED: Final = 254  # characters of what is looked for: an e-mail has no more


@dataclass(frozen=True)
class Found:
    """An account and its counts."""

    user: UserRow
    counts: Counts


@dataclass(frozen=True)
class People:
    """A page of accounts and where the next one goes on, None on the last."""

    rows: list[Found]
    following: Following | None


@dataclass(frozen=True)
class HeldPage:
    """A page of held posts and where the next one goes on, None on the last."""

    rows: list[HeldRow]
    following: Following | None


@dataclass(frozen=True)
class AuditPage:
    """A page of the audit log and where the next one goes on, None on the last."""

    rows: list[AuditRow]
    following: Following | None


@dataclass(frozen=True)
class Waiting:
    """How much waits for administrators, and for how long the oldest of it."""

    queue: queries.Queue
    oldest_report: timedelta | None
    oldest_held: timedelta | None


class LookService:
    """Answers administrators. Every method raises Forbidden when the actor is not one."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._acts, self._clock = Acts(database, clock, ids), clock

    async def people(
        self, actor: Actor, asked: str | None, state: UserState | None, before: Keyset | None, size: int
    ) -> People:
        """Return up to `size` accounts in that state, older than `before`, newest first: the one with that id or e-mail, or those
        whose nickname begins so; all where nothing is asked.

        Recorded is how it was asked. The target is who was found by an id or e-mail, else the actor.
        """

        def search(connection: Connection, entry: Entry) -> Outcome[People]:
            kind, user_id = _named(connection, asked)
            if kind in _ONE:
                one = None if user_id is None else queries.user(connection, user_id, entry.now)
                rows = [one] if one is not None and state in (None, one.state) and before is None else []
            else:
                rows = queries.people(
                    connection, nickname=asked, state=state, before=before, limit=size + 1, now=entry.now
                )
            shown, following = cut(rows, size, lambda row: Following(row.created_at, row.user_id))
            counts = queries.counts_of(connection, [row.user_id for row in shown])
            page = People([Found(row, counts[row.user_id]) for row in shown], following)
            return Outcome(page, kind, user_id if rows else None)

        return await self._acts.do(actor, "user.search", actor.user_id or "", search)

    async def user(self, actor: Actor, user_id: str) -> Found:
        """Return an account. Raises NotFound."""

        def read(connection: Connection, entry: Entry) -> Outcome[Found]:
            row = queries.user(connection, user_id, entry.now)
            if row is None:
                raise NotFound
            return Outcome(Found(row, queries.counts_of(connection, [user_id])[user_id]))

        return await self._acts.do(actor, "user.read", user_id, read)

    async def held(self, actor: Actor, before: Keyset | None, size: int) -> HeldPage:
        """Return up to `size` posts that wait for a moderator, older than `before`, newest first."""
        rows = await self._acts.look(actor, partial(queries.held, before=before, limit=size + 1))
        return HeldPage(*cut(rows, size, lambda row: Following(row.created_at, row.post_id)))

    async def post(self, actor: Actor, post_id: str) -> tuple[OwnDetailView, Hold]:
        """Return a post that is not deleted, hidden and held ones too; counts no view. Raises NotFound."""

        def read(connection: Connection) -> tuple[OwnDetailView, Hold]:
            view = posts.any_detail(connection, post_id) if is_ulid(post_id) else None
            if view is None:
                raise NotFound
            return view, queries.hold_of(connection, post_id)

        return await self._acts.look(actor, read)

    async def comment(self, actor: Actor, comment_id: str) -> CommentRow:
        """Return a comment that is not deleted, hidden ones too. Raises NotFound."""

        def read(connection: Connection) -> CommentRow:
            row = queries.comment(connection, comment_id) if is_ulid(comment_id) else None
            if row is None:
                raise NotFound
            return row

        return await self._acts.look(actor, read)

    async def audit(
        self, actor: Actor, *, by: str | None, target: str | None, before: Keyset | None, size: int
    ) -> AuditPage:
        """Return up to `size` entries of that actor and on that target, older than `before`, newest first. Raises InvalidInput."""
        for name, given in (("actor", by), ("target", target)):
            if given is not None and not is_ulid(given):
                raise InvalidInput(FieldError(name, "올바르지 않은 ID입니다."))
        read = partial(queries.audit, actor_id=by, target_id=target, before=before, limit=size + 1)
        rows = await self._acts.look(actor, read)
        return AuditPage(*cut(rows, size, lambda row: Following(row.created_at, row.audit_id)))

    async def queue(self, actor: Actor) -> Waiting:
        """Return how much waits."""
        now = self._clock.now()
        queue = await self._acts.look(actor, partial(queries.queue, now=now))
        return Waiting(queue, _age(queue.oldest_report, now), _age(queue.oldest_held, now))


_BY_ID, _BY_EMAIL, _BY_NICKNAME, _ALL = "id", "e-mail", "nickname", "all"
_ONE: Final = (_BY_ID, _BY_EMAIL)


def _named(connection: Connection, asked: str | None) -> tuple[str, str | None]:
    """Return by what somebody is looked for, and who that is, where it can be one only."""
    if asked is None:
        return _ALL, None
    if is_ulid(asked):
        return _BY_ID, asked
    return (_BY_EMAIL, accounts.id_of(connection, asked)) if "@" in asked else (_BY_NICKNAME, None)


def _age(since: datetime | None, now: datetime) -> timedelta | None:
    return None if since is None else max(now - since, timedelta())
