"""Use cases of somebody who is logged in: their password, their devices, and leaving."""

from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import secrets, store
from bapsang_api.auth.leaving import leave
from bapsang_api.auth.links import store as links
from bapsang_api.auth.links.models import LinkKind
from bapsang_api.auth.notices import Notices
from bapsang_api.auth.passwords import Passwords
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Conflict, NotFound
from bapsang_api.notifications import store as notifications
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_ACTIVE
from bapsang_api.users.service import UserService

_WRONG_PASSWORD: Final = "비밀번호가 일치하지 않습니다."  # noqa: S105 - what is answered to a wrong one
_MOST_DEVICES: Final = 100


class AccountService:
    """What users do to their own account. Where sessions end, the database goes first: with it no family can be
    refreshed, whatever happens to Redis."""

    def __init__(
        self,
        database: Database,
        users: UserService,
        passwords: Passwords,
        revoked: RevokedSessions,
        notices: Notices,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database, self._users, self._passwords = database, users, passwords
        self._revoked, self._notices, self._clock, self._ids = revoked, notices, clock, ids

    async def require_password(self, user_id: str, password: str) -> None:
        """Raise Conflict for a wrong password, never a 401: clients drop their login on one. Raises NotFound."""
        account = await self._users.account(user_id)
        if not await self._passwords.verify(account.password_hash, password):
            raise Conflict(_WRONG_PASSWORD)

    async def change_password(self, user_id: str, password: str, *, current: str | None) -> None:
        """Set a new password and end every session, the caller's too, and every one-time link.

        Raises NotFound, and Conflict when `current` is given and is not the present one.
        """
        if current is not None:
            await self.require_password(user_id, current)
        password_hash = await self._passwords.hash(password)

        def change(connection: Connection) -> list[str]:
            account = accounts.account_of(connection, user_id, lock=True)
            if account is None or account.status != STATUS_ACTIVE:
                raise NotFound
            accounts.set_password(connection, user_id, password_hash)
            links.end(connection, user_id, *LinkKind)
            self._notices.password_changed(connection, account)
            return store.revoke_all(connection, user_id, self._clock.now())

        await self._revoked.announce(*await self._database.write(change))

    async def withdraw(self, user_id: str, password: str) -> None:
        """Give the account up for good and end every session. Raises Conflict for a wrong password, and NotFound."""
        await self.require_password(user_id, password)
        journal_id = self._ids.new()

        def end(connection: Connection) -> list[str]:
            account = accounts.account_of(connection, user_id, lock=True)
            if account is None:
                raise NotFound
            leave(connection, account, self._clock.now(), journal_id)
            notifications.forget_person(connection, user_id)
            return store.revoke_all(connection, user_id, self._clock.now())

        await self._revoked.announce(*await self._database.write(end))

    async def devices(self, user_id: str) -> list[store.Device]:
        """Return the sessions that are logged in, the most recently used first."""
        used_after = self._clock.now() - secrets.REFRESH_LIFETIME
        return await self._database.read(
            partial(store.devices_of, user_id=user_id, used_after=used_after, limit=_MOST_DEVICES)
        )

    async def end_session(self, user_id: str, session_id: str) -> None:
        """Log one device out. Raises NotFound for a session that is not the caller's."""
        # Checked first: MySQL would refuse to compare some text with an id.
        if not is_ulid(session_id) or not await self._database.read(
            partial(store.owns_session, user_id=user_id, session_id=session_id)
        ):
            raise NotFound
        await self._database.write(partial(store.revoke_sessions, session_ids=[session_id], now=self._clock.now()))
        await self._revoked.announce(session_id)
