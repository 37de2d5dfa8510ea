"""`bapsang-api erase-user`: everything that tells who somebody was goes at once, not 30 days after a withdrawal."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import store as logins
from bapsang_api.auth.leaving import leave
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.comments import service as comments
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.mail import store as mail
from bapsang_api.moderation import store as audit
from bapsang_api.notifications import store as notifications
from bapsang_api.posts import sight as posts
from bapsang_api.reports import store as reports
from bapsang_api.upkeep import store
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_DELETED, Extent
from bapsang_api.users.models import Erasure as JournalEntry

_BATCH: Final = 50


@dataclass(frozen=True)
class Erased:
    """What an erasure did. `was_active` is False when the account was withdrawn already."""

    was_active: bool
    sessions: int
    posts: int = 0
    comments: int = 0


class Erasure:
    """Erases people. Doing it again changes nothing, is recorded again, and makes up for whatever failed halfway."""

    def __init__(
        self, database: Database, revoked: RevokedSessions, likes: LikeService, clock: Clock, ids: Ids
    ) -> None:
        self._database, self._revoked, self._likes, self._clock, self._ids = database, revoked, likes, clock, ids

    async def erase(self, user_id: str, extent: Extent, *, reason: str | None, journal_id: str | None = None) -> Erased:
        """Erase a person to an extent. Raises NotFound, and Redis errors. `journal_id`: of an erasure that is done again.

        Their likes stay: rows of two ids, which name nobody any more, and without which others' posts would count less.
        """
        entry_id, now = self._ids.new(), self._clock.now()
        journal_ids = self._ids.new(), journal_id or self._ids.new()

        def erase(connection: Connection) -> tuple[bool, list[str]]:
            account = accounts.account_of(connection, user_id, lock=True)
            if account is None:
                raise NotFound
            leave(connection, account, now, journal_ids[0])
            ended = logins.revoke_all(connection, user_id, now)
            if extent is not Extent.NAME:
                store.forget_login(connection, user_id)
                mail.forget(connection, user_id)
                reports.forget_details(connection, user_id)
                accounts.forget_consents(connection, [user_id])
            accounts.add_erasure(connection, JournalEntry(id=journal_ids[1], user_id=user_id, extent=extent))
            audit.record(connection, entry_id, action="user.erase", target_id=user_id, reason=reason, now=now)
            return account.status != STATUS_DELETED, ended

        was_active, ended = await self._database.write(erase)
        while await self._database.write(partial(notifications.forget_person, user_id=user_id)):
            pass
        await self._revoked.announce(*ended)
        done = Erased(was_active, len(ended))
        return await self._erase_words(done, user_id, now) if extent is Extent.WORDS else done

    async def _erase_words(self, done: Erased, user_id: str, now: datetime) -> Erased:
        """Erase what somebody wrote, a bounded number a transaction: readers and writers wait for none of it."""
        erase_posts = partial(posts.erase, user_id=user_id, now=now, limit=_BATCH)
        while post_ids := await self._database.write(erase_posts):
            done = replace(done, posts=done.posts + len(post_ids))
            for post_id in post_ids:  # after the commit: nobody can load them again
                await self._likes.forget(post_id)
        erase_comments = partial(comments.erase, user_id=user_id, now=now, limit=_BATCH)
        while count := await self._database.write(erase_comments):
            done = replace(done, comments=done.comments + count)
        return done
