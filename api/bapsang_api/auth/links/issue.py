"""Makes one-time links and takes them: each within its caller's transaction, so that a link is used up with its effect."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import secrets
from bapsang_api.auth.links import store
from bapsang_api.auth.links.models import AccountLink, LinkKind
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.problem import FieldError, InvalidInput, Problem, Unavailable
from bapsang_api.kit.text import folded
from bapsang_api.mail.letters import LINK_LIFETIME, Letter
from bapsang_api.mail.outbox import Outbox
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_ACTIVE

KEPT: Final = timedelta(days=1)
# One for all reasons: whoever guesses learns nothing of which links there were.
BAD_LINK: Final = "쓸 수 없는 링크입니다. 새 링크를 받아 주세요."
_LETTERS: Final = {
    LinkKind.VERIFY: (Letter.VERIFY, "verify-email"),
    LinkKind.RESET: (Letter.RESET, "reset-password"),
    LinkKind.CHANGE_ADDRESS: (Letter.CHANGE_ADDRESS, "confirm-address"),
}


class MailOff(Unavailable):
    """The platform sends no mail."""

    def __init__(self) -> None:
        Problem.__init__(self, "이 커뮤니티는 메일을 보내지 않습니다.", headers={"Retry-After": "3600"})


class BadLink(InvalidInput):
    """A link that is unknown, used, expired or ended, or of somebody who may not use it."""

    def __init__(self) -> None:
        super().__init__(FieldError("token", BAD_LINK))


@dataclass(frozen=True)
class Taken:
    """A link that was good, and is used up: whose it is (locked), and the address that it was sent to."""

    account: accounts.Login
    address: str


class Links:
    """Sends links by the outbox. A link is ended by a newer one of its kind, a new password, a new address and a withdrawal."""

    def __init__(self, outbox: Outbox, clock: Clock, site: str) -> None:
        """`site`: the origin of the pages that the links lead to."""
        self._outbox, self._clock, self._site = outbox, clock, site

    @property
    def on(self) -> bool:
        return self._outbox.on

    def require_mail(self) -> None:
        """Raise MailOff where no letter can be sent."""
        if not self.on:
            raise MailOff

    def add(self, connection: Connection, kind: LinkKind, *, user_id: str, address: str | None) -> str:
        """Store a new link of an account and return its token; those of its kind before it are over."""
        now, token = self._clock.now(), secrets.new_token()
        store.end(connection, user_id, kind)
        link = AccountLink(
            token_hash=secrets.hash_of(token),
            user_id=user_id,
            kind=kind,
            address=address,
            created_at=now,
            expires_at=now + LINK_LIFETIME,
        )
        store.add(connection, link)
        return token

    def write(
        self, connection: Connection, kind: LinkKind, token: str, *, user_id: str, address: str, nickname: str
    ) -> bool:
        """Write the letter with a link; False for an address that takes none.

        The token is in the fragment of the link, which browsers send to nobody.
        """
        letter, page = _LETTERS[kind]
        values = {"nickname": nickname, "link": f"{self._site.rstrip('/')}/{page}#token={token}"}
        return self._outbox.add(connection, letter, address=address, user_id=user_id, values=values) is not None

    def send(self, connection: Connection, kind: LinkKind, *, user_id: str, address: str, nickname: str) -> bool:
        """Store a link and write its letter; False for an address that takes none. The account must be locked, or new."""
        token = self.add(connection, kind, user_id=user_id, address=address)
        return self.write(connection, kind, token, user_id=user_id, address=address, nickname=nickname)

    def check(self, connection: Connection, token: str, kind: LinkKind) -> AccountLink:
        """Return a link that can be used. Raises BadLink."""
        link = store.link_of(connection, secrets.hash_of(token))
        if link is None or link.kind != kind or link.used_at is not None or link.expires_at <= self._clock.now():
            raise BadLink
        return link

    def take(self, connection: Connection, token: str, kind: LinkKind) -> Taken:
        """Use a link up and lock its account, the account first. Raises BadLink."""
        link = self.check(connection, token, kind)
        account = accounts.account_of(connection, link.user_id, lock=True)
        if account is None or account.status != STATUS_ACTIVE or link.address is None:
            raise BadLink
        if kind is not LinkKind.CHANGE_ADDRESS and folded(link.address) != folded(account.email):
            raise BadLink
        if not store.use(connection, link.token_hash, self._clock.now()):
            raise BadLink
        self._outbox.confirmed(connection, link.address)
        return Taken(account, link.address)
