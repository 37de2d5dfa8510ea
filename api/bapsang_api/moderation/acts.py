"""An act of an administrator: who may, and that it is one transaction with its entry in the audit log."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import Connection

from bapsang_api.kit.clock import Clock
from bapsang_api.kit.context import current_request_id
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Forbidden, NotFound
from bapsang_api.moderation import store
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.users import store as accounts
from bapsang_api.users.models import ROLE_ADMIN

T = TypeVar("T")


@dataclass(frozen=True)
class Actor:
    """Who acts, and why. `user_id` is None for the command line, which whoever runs the platform may use."""

    user_id: str | None
    reason: str | None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What an act has come to, and what its entry says of it: a detail, and the target, if it is another than was named."""

    result: T
    detail: str | None = None
    target_id: str | None = None


@dataclass(frozen=True)
class Entry:
    """The entry of an act that is going on."""

    id: str
    now: datetime


class Acts:
    """Carries acts out."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database, self._clock, self._ids = database, clock, ids

    async def do(
        self, actor: Actor, action: str, target_id: str, change: Callable[[Connection, Entry], Outcome[T]]
    ) -> T:
        """Return the result of `change`, which runs in one transaction with the act's entry.

        Raises Forbidden for who is no administrator, and NotFound for a target that can be none.
        """
        entry = Entry(self._ids.new(), self._clock.now())
        request_id = current_request_id() or None  # here, because the database's threads do not know the request

        def act(connection: Connection) -> T:
            authorise(connection, actor, entry.now)
            if not is_ulid(target_id):  # MySQL would refuse to compare some text with an id
                raise NotFound
            outcome = change(connection, entry)
            store.append(
                connection,
                AuditEntry(
                    id=entry.id,
                    actor_id=actor.user_id,
                    action=action,
                    target_id=outcome.target_id or target_id,
                    reason=actor.reason,
                    detail=outcome.detail,
                    request_id=request_id,
                    created_at=entry.now,
                ),
            )
            return outcome.result

        return await self._database.write(act)

    async def look(self, actor: Actor, read: Callable[[Connection], T]) -> T:
        """Return what an administrator reads, of which nothing is recorded. Raises Forbidden."""
        now = self._clock.now()

        def authorised(connection: Connection) -> T:
            authorise(connection, actor, now)
            return read(connection)

        return await self._database.read(authorised)


def authorise(connection: Connection, actor: Actor, now: datetime) -> None:
    """Raise Forbidden for who is no administrator. The token names the role of up to half an hour ago; the row decides."""
    if actor.user_id is None:
        return
    account = accounts.account_of(connection, actor.user_id)
    if account is None or not account.is_usable(now) or account.role != ROLE_ADMIN:
        raise Forbidden
