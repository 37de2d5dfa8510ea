"""How an account ends, whoever ends it: its owner, an operator, or the purge of accounts that never came to life."""

from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.auth.links import store as links
from bapsang_api.people import store as people
from bapsang_api.users.service import withdraw
from bapsang_api.users.store import Login


def leave(connection: Connection, account: Login, now: datetime, journal_id: str) -> None:
    """Withdraw an account within the caller's transaction, which has locked it, with its links and what it was to other people.

    Doing it again changes nothing. `journal_id`: of the entry in the journal of erasures.
    """
    withdraw(connection, account, now, journal_id)
    links.forget(connection, account.user_id)
    people.leave(connection, account.user_id)
