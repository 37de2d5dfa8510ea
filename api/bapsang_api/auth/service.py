"""Use cases of logins: sign up, log in, refresh, log out."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import secrets, store
from bapsang_api.auth.links import store as link_store
from bapsang_api.auth.links.issue import Links
from bapsang_api.auth.links.models import LinkKind
from bapsang_api.auth.models import ACCESS_LOG_IN, ACCESS_SIGN_UP, AccessEntry, AuthSession, RefreshToken
from bapsang_api.auth.notices import Notices
from bapsang_api.auth.passwords import Passwords
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.auth.store import StoredToken
from bapsang_api.kit.clock import Clock, until_in_words
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Forbidden, NotAuthenticated, TooManyRequests
from bapsang_api.kit.security.tokens import Principal, TokenIssuer
from bapsang_api.uploads.service import Named
from bapsang_api.users import store as accounts
from bapsang_api.users.consent import Consent
from bapsang_api.users.models import STATUS_ACTIVE
from bapsang_api.users.service import UserService

log = logging.getLogger(__name__)

# A lost answer or a second tab sends the old token again; later than this only a thief does.
GRACE: Final = timedelta(seconds=10)
# Rotations of one family within the grace. A browser that restores a hundred tabs stays below it; a client that goes on and on is
# answered 429, so that the chain from a token to its newest successor stays short.
MOST_ROTATIONS: Final = 200
#: How long somebody who was asked to verify their address, and has never logged in, has for it.
UNVERIFIED_KEPT: Final = timedelta(days=14)


@dataclass(frozen=True)
class Tokens:
    """What a login or refresh gives: the access token (JWT) and the opaque refresh token."""

    access: str
    refresh: str


@dataclass(frozen=True)
class LoggedIn:
    """A successful login."""

    nickname: str
    tokens: Tokens


@dataclass(frozen=True)
class _Reused:
    """Outcome of a refresh with a token that was rotated out longer ago than the grace."""

    session_id: str


@dataclass(frozen=True)
class _Rotated:
    """Outcome of a good refresh."""

    principal: Principal
    successor: str


class AuthService:
    """Logins and their tokens."""

    def __init__(
        self,
        database: Database,
        users: UserService,
        passwords: Passwords,
        issuer: TokenIssuer,
        revoked: RevokedSessions,
        links: Links,
        notices: Notices,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database, self._users, self._passwords = database, users, passwords
        self._issuer, self._revoked, self._clock, self._ids = issuer, revoked, clock, ids
        self._links, self._notices = links, notices

    @property
    def verifies(self) -> bool:
        """Whether somebody who signs up can be asked to verify their address."""
        return self._links.on

    async def sign_up(
        self,
        *,
        email: str,
        password: str,
        nickname: str,
        image: Named | None,
        consent: Consent | None,
        address: str,
        verify: bool,
    ) -> str:
        """Create an account and return its id. Raises Conflict and InvalidInput as `UserService.register` does.

        `verify`: whether to send a link to the e-mail. Only who got one is ever cleared for not using it.
        """
        self._users.require_consent(consent)
        # Asked first only to spare the hashing; the unique indexes decide between two at the same moment.
        await self._users.require_email_free(email)
        await self._users.require_nickname_free(nickname)
        password_hash = await self._passwords.hash(password)
        entry_id = self._ids.new()

        def finish(connection: Connection, user_id: str) -> None:
            entry = AccessEntry(id=entry_id, user_id=user_id, act=ACCESS_SIGN_UP, address=address)
            store.add_access(connection, entry)
            asked = {"user_id": user_id, "address": email, "nickname": nickname}
            if verify and not self._links.send(connection, LinkKind.VERIFY, **asked):
                link_store.keep(connection, user_id)

        return await self._users.register(
            email=email,
            nickname=nickname,
            password_hash=password_hash,
            image=image,
            consent=consent,
            verify_by=self._clock.now() + UNVERIFIED_KEPT if verify else None,
            and_then=finish,
        )

    async def log_in(
        self, *, email: str, password: str, user_agent: str | None, address: str, is_known: bool
    ) -> LoggedIn:
        """Start a session. Raises NotAuthenticated (unknown or wrong, after the same work) or Forbidden.

        `is_known`: whether the device has the cookie of those that somebody logged in on before.
        """
        login = await self._users.login_of(email)
        matches = await self._passwords.verify(login.password_hash if login else None, password, name=email)
        if login is None or not matches:
            raise NotAuthenticated
        require_usable(login, self._clock.now())
        assert login.password_hash is not None  # noqa: S101 - it matches
        outdated = self._passwords.is_outdated(login.password_hash)
        renewed = await self._passwords.hash(password) if outdated else None
        session_id, refresh, now = self._ids.new(), secrets.new_token(), self._clock.now()
        access = AccessEntry(id=self._ids.new(), user_id=login.user_id, act=ACCESS_LOG_IN, address=address)

        def start(connection: Connection) -> int:
            # Looked at again under a lock: a password change or a block in between has revoked every session there
            # was, and must not miss this one.
            current = accounts.account_of(connection, login.user_id, lock=True)
            if current is None or current.password_hash != login.password_hash:
                raise NotAuthenticated
            require_usable(current, now)
            if renewed:
                accounts.set_password(connection, login.user_id, renewed)
            if current.verify_by is not None:
                link_store.keep(connection, login.user_id)
            if not is_known:
                self._notices.logged_in(connection, current, user_agent=user_agent, address=address)
            store.add_session(
                connection,
                AuthSession(
                    id=session_id, user_id=login.user_id, created_at=now, last_used_at=now, user_agent=user_agent
                ),
                RefreshToken(
                    token_hash=secrets.hash_of(refresh),
                    session_id=session_id,
                    expires_at=now + secrets.REFRESH_LIFETIME,
                ),
            )
            store.add_access(connection, access)
            return accounts.number_of(connection, login.user_id)

        number = await self._database.write(start)
        token = self._issuer.issue(Principal(login.user_id, login.role, session_id, number))
        return LoggedIn(login.nickname, Tokens(token, refresh))

    async def refresh(self, tokens: Iterable[str]) -> Tokens:
        """Exchange the first of the refresh tokens that is good for its successor and a new access token.

        A token that was exchanged already gives the newest successor of its chain while each link is within its grace; after it
        the whole family is revoked. Raises NotAuthenticated, and TooManyRequests after MOST_ROTATIONS within a grace.
        """
        reused = []
        for token in tokens:
            outcome = await self._database.write(partial(self._rotate, token=token))
            if isinstance(outcome, _Rotated):
                # One that was rotated out is no theft then: the browser kept it beside its successor.
                return Tokens(self._issuer.issue(outcome.principal), outcome.successor)
            if isinstance(outcome, _Reused):
                reused.append(outcome.session_id)
        for session_id in reused:
            log.warning("auth.refresh_token_reused", extra={"session_id": session_id})
            await self._revoke(session_id)
        raise NotAuthenticated

    async def log_out(self, *, refresh_tokens: Iterable[str], principal: Principal | None) -> None:
        """Revoke the families of the refresh tokens and the session of the access token, whichever there are."""
        ended = {principal.session_id} if principal else set()
        for token in refresh_tokens:
            found = await self._database.read(partial(store.session_of, token_hash=secrets.hash_of(token)))
            ended |= {found} if found else set()
        if ended:
            await self._revoke(*sorted(ended))

    async def _revoke(self, *session_ids: str) -> None:
        # The database first: with it the families can no longer refresh, whatever happens to Redis.
        await self._database.write(partial(store.revoke_sessions, session_ids=session_ids, now=self._clock.now()))
        await self._revoked.announce(*session_ids)

    def _rotate(self, connection: Connection, token: str) -> _Rotated | _Reused | None:
        now, token_hash = self._clock.now(), secrets.hash_of(token)
        family = store.lock_family(connection, token_hash, now)
        if family is None or not family.usable:
            return None
        session_id = family.session_id
        number = accounts.number_of(connection, family.user_id) if family.number is None else family.number
        principal = Principal(family.user_id, family.role, session_id, number)
        # Read after the lock: a rival may just have rotated it.
        links = store.links_of(connection, session_id, rotated_since=now - GRACE)
        current = links.get(token_hash)
        if current is None:  # its own link is out of the grace
            stale = store.token_of(connection, token_hash)
            return None if stale is None or stale.expires_at <= now else _Reused(session_id)
        if current.rotated_at is not None:
            newest = _newest(links, token)
            return _Reused(session_id) if newest is None else _Rotated(principal, newest)
        if current.expires_at <= now:
            return None
        if len(links) > MOST_ROTATIONS:
            raise TooManyRequests(int(GRACE.total_seconds()))
        # No token that is within its grace, so that one exchanged in its last second can be sent again as well.
        if family.created_at < now - secrets.REFRESH_LIFETIME:  # before, none can have expired
            store.drop_expired(connection, session_id, now - GRACE)
        successor = secrets.new_token()
        store.mark_used(connection, session_id, now)
        sealed = secrets.seal(successor, token)
        store.rotate(connection, session_id, token_hash, now=now, sealed_successor=sealed, grace_over_by=now - GRACE)
        store.add_token(
            connection,
            RefreshToken(
                token_hash=secrets.hash_of(successor), session_id=session_id, expires_at=now + secrets.REFRESH_LIFETIME
            ),
        )
        return _Rotated(principal, successor)


def require_usable(account: accounts.Login, now: datetime) -> None:
    """Raise Forbidden for an account with which nobody may log in, and say until when, if it is suspended."""
    if account.status != STATUS_ACTIVE:
        raise Forbidden
    if account.is_suspended(now):
        assert account.suspended_until is not None  # noqa: S101 - it is suspended
        raise Forbidden(f"{until_in_words(account.suspended_until)}까지 이용이 정지된 계정입니다.")


def _newest(links: Mapping[str, StoredToken], token: str) -> str | None:
    """Return the last token of the chain that begins with `token`, None when one of its links is out of the grace.

    `links` holds those within it. Each step is to a link not seen before, so there are at most as many.
    """
    while (link := links.get(secrets.hash_of(token))) is not None:
        if link.rotated_at is None:
            return token
        if link.sealed_successor is None:
            return None
        token = secrets.unseal(link.sealed_successor, token)
    return None
