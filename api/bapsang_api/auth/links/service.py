"""Use cases of one-time links: a new password for who forgot it, a verified address, another address."""

from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import store as sessions
from bapsang_api.auth.account import AccountService
from bapsang_api.auth.links import store
from bapsang_api.auth.links.issue import Links
from bapsang_api.auth.links.models import LinkKind
from bapsang_api.auth.notices import Notices
from bapsang_api.auth.passwords import Passwords
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.problem import Conflict, NotFound
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_ACTIVE
from bapsang_api.users.schemas import LONGEST_EMAIL
from bapsang_api.users.service import EMAIL_TAKEN

_NOBODY: Final = "nobody@example.com"  # in the place of what can be no address; nothing is ever sent there


class RecoveryService:
    """What somebody does with a link from their mailbox, and how they get one."""

    def __init__(
        self,
        database: Database,
        account: AccountService,
        passwords: Passwords,
        revoked: RevokedSessions,
        links: Links,
        notices: Notices,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._database, self._account, self._passwords, self._revoked = database, account, passwords, revoked
        self._links, self._notices, self._clock, self._ids = links, notices, clock, ids

    def require_mail(self) -> None:
        """Raise MailOff where no letter can be sent."""
        self._links.require_mail()

    async def request_reset(self, email: str) -> None:
        """Send a link that sets a new password, if an active account has this e-mail. Raises MailOff.

        For every e-mail the same statements are executed and the same is committed, a link, so that neither the answer nor its time
        tells whether there is an account: without one the link is of an account that does not exist, and the letter, of which
        nothing may be left, is written and rolled back.
        """
        self._links.require_mail()
        nobody, possible = self._ids.new(), email if email.isascii() and len(email) <= LONGEST_EMAIL else _NOBODY

        def request(connection: Connection) -> None:
            user_id = accounts.id_of(connection, email)
            account = accounts.account_of(connection, user_id or nobody, lock=True)
            if account is not None and account.status != STATUS_ACTIVE:
                account = None
            user_id, address = (account.user_id, account.email) if account else (nobody, None)
            token = self._links.add(connection, LinkKind.RESET, user_id=user_id, address=address)
            with connection.begin_nested() as letter:
                nickname, to = (account.nickname, account.email) if account else ("-", possible)
                self._links.write(connection, LinkKind.RESET, token, user_id=user_id, address=to, nickname=nickname)
                if account is None:
                    letter.rollback()

        await self._database.write(request)

    async def reset(self, token: str, password: str) -> None:
        """Set a new password by a link and end every session. Whoever has the link reads the mailbox. Raises BadLink."""
        # Looked at first only to spare the hashing.
        await self._database.read(partial(self._links.check, token=token, kind=LinkKind.RESET))
        password_hash = await self._passwords.hash(password)

        def change(connection: Connection) -> list[str]:
            account = self._links.take(connection, token, LinkKind.RESET).account
            now = self._clock.now()
            accounts.set_password(connection, account.user_id, password_hash)
            store.verified(connection, account.user_id, now)
            store.end(connection, account.user_id, *LinkKind)
            self._notices.password_changed(connection, account)
            return sessions.revoke_all(connection, account.user_id, now)

        await self._revoked.announce(*await self._database.write(change))

    async def request_verification(self, user_id: str) -> None:
        """Send the link that verifies somebody's address once more. Raises MailOff and NotFound."""
        self._links.require_mail()

        def request(connection: Connection) -> None:
            account = _locked(connection, user_id)
            self._links.send(
                connection, LinkKind.VERIFY, user_id=user_id, address=account.email, nickname=account.nickname
            )

        await self._database.write(request)

    async def verify(self, token: str) -> None:
        """Note that an address is its owner's. Raises BadLink."""

        def verify(connection: Connection) -> None:
            account = self._links.take(connection, token, LinkKind.VERIFY).account
            store.verified(connection, account.user_id, self._clock.now())

        await self._database.write(verify)

    async def request_address(self, user_id: str, email: str, password: str) -> None:
        """Send the link that makes an address somebody's to that address.

        Raises Conflict for a wrong password and for an address that another has: `GET /auth/email` tells as much. Raises MailOff
        and NotFound.
        """
        self._links.require_mail()
        await self._account.require_password(user_id, password)

        def request(connection: Connection) -> None:
            account = _locked(connection, user_id)
            if accounts.id_of(connection, email) not in (None, user_id):
                raise Conflict(EMAIL_TAKEN)
            self._links.send(
                connection, LinkKind.CHANGE_ADDRESS, user_id=user_id, address=email, nickname=account.nickname
            )

        await self._database.write(request)

    async def change_address(self, token: str) -> None:
        """Make the address that a link was sent to its account's, and end all other links. Raises BadLink, and Conflict when somebody
        else has taken the address since."""

        def change(connection: Connection) -> None:
            taken = self._links.take(connection, token, LinkKind.CHANGE_ADDRESS)
            account = taken.account
            try:
                store.set_email(connection, account.user_id, taken.address, self._clock.now())
            except accounts.EmailTakenError as error:
                raise Conflict(EMAIL_TAKEN) from error
            store.end(connection, account.user_id, *LinkKind)
            self._notices.address_changed(connection, account)

        await self._database.write(change)


def _locked(connection: Connection, user_id: str) -> accounts.Login:
    account = accounts.account_of(connection, user_id, lock=True)
    if account is None or account.status != STATUS_ACTIVE:
        raise NotFound
    return account
