"""Letters that tell somebody what was done to their account, so that they notice when it was somebody else.

Whoever signs up with another's address could have them written to for ever: an account gets MOST_A_DAY of them at most.
"""

import ipaddress
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import store
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.ids import first_id
from bapsang_api.mail import store as mails
from bapsang_api.mail.letters import Letter
from bapsang_api.mail.outbox import Outbox
from bapsang_api.users.store import Login

MOST_A_DAY: Final = 20  # letters to an account, of all kinds
#: For so long what somebody logged in with is not new to them.
REMEMBERED: Final = timedelta(days=14)
# The log of logins goes back three months: of an account that is older nobody knows that it had none.
_LOG_REACHES: Final = timedelta(days=90)
_MOST_LOGINS: Final = 200
_NETWORKS: Final = {4: 24, 6: 48}  # bits of an address that make a network


class Notices:
    """Writes notices within the transaction that they are about."""

    def __init__(self, outbox: Outbox, clock: Clock) -> None:
        self._outbox, self._clock = outbox, clock

    def password_changed(self, connection: Connection, account: Login) -> None:
        self._tell(connection, account, Letter.PASSWORD_CHANGED)

    def address_changed(self, connection: Connection, account: Login) -> None:
        """Tell the old address, which `account` still names. Each of them: nobody changes an address without the new mailbox."""
        values = {"nickname": account.nickname}
        self._outbox.add(
            connection, Letter.ADDRESS_CHANGED, address=account.email, user_id=account.user_id, values=values
        )

    def logged_in(self, connection: Connection, account: Login, *, user_agent: str | None, address: str) -> None:
        """Tell of a login that is under way, if it is from a device that is new, and not the first of the account.

        For devices without the cookie of known ones. New is one where within REMEMBERED nobody logged in to the account with the
        same user agent, or nobody from the same network.
        """
        if not self._outbox.on:
            return
        now = self._clock.now()
        had_one = account.user_id < first_id(now - _LOG_REACHES) or store.has_logged_in(connection, account.user_id)
        if not had_one or self._is_known(connection, account.user_id, user_agent, address):
            return
        # The address first: what a device calls itself may be so long that it is cut.
        self._tell(connection, account, Letter.NEW_DEVICE, device=f"{address} · {user_agent or '-'}")

    def _is_known(self, connection: Connection, user_id: str, user_agent: str | None, address: str) -> bool:
        since = self._clock.now() - REMEMBERED
        if not store.used_agent(connection, user_id, user_agent, since):
            return False
        addresses = store.addresses_of(connection, user_id, first_id(since), _MOST_LOGINS)
        return network_of(address) in {network_of(known) for known in addresses}

    def _tell(self, connection: Connection, account: Login, letter: Letter, **values: str) -> None:
        if not self._outbox.on:
            return
        day = first_id(self._clock.now() - timedelta(days=1))
        if mails.count_since(connection, account.user_id, day, MOST_A_DAY) >= MOST_A_DAY:
            return
        said = {"nickname": account.nickname, **values}
        self._outbox.add(connection, letter, address=account.email, user_id=account.user_id, values=said)


def network_of(address: str) -> str:
    """Return the network that an address is of: a phone or a home gets another address of it now and then."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, _NETWORKS[parsed.version]), strict=False))
