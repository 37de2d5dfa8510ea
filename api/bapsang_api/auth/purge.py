"""The purge of login sessions that nobody can refresh any more, of old links and of accounts that never came to life, a bounded number
at a time."""

from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import secrets, store
from bapsang_api.auth.leaving import leave
from bapsang_api.auth.links import store as links
from bapsang_api.auth.links.issue import KEPT
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids
from bapsang_api.mail import store as mails
from bapsang_api.users import store as accounts
from bapsang_api.users.models import STATUS_ACTIVE

BATCH: Final = 1_000
_ACCOUNTS: Final = 50  # a transaction each


async def purge_sessions(database: Database, clock: Clock) -> int:
    """Delete up to a batch of dead sessions and return how many. A minute's worth of logins fits in several times."""
    now = clock.now()
    return await database.write(partial(store.purge, unused_since=now - secrets.REFRESH_LIFETIME, now=now, limit=BATCH))


async def purge_links(database: Database, clock: Clock) -> int:
    """Delete up to a batch of links that were made long ago, used or not; return how many."""
    return await database.write(partial(links.purge, created_before=clock.now() - KEPT, limit=BATCH))


async def purge_unverified(database: Database, clock: Clock) -> int:
    """Withdraw, with nothing left, accounts that were asked to verify their address and neither did nor ever logged in; return how many.

    Nothing can be written, uploaded, liked or followed without a login, and a login takes an account off the list.
    """
    now, ids, done = clock.now(), Ids(clock), 0
    for user_id in await database.read(partial(links.unverified_by, moment=now, limit=_ACCOUNTS)):
        clear = partial(_clear, user_id=user_id, now=now, journal_id=ids.new())
        done += await database.write(clear)
    return done


def _clear(connection: Connection, user_id: str, now: datetime, journal_id: str) -> bool:
    account = accounts.account_of(connection, user_id, lock=True)
    if account is None or account.verify_by is None or account.verify_by >= now:
        return False
    # An older image logs somebody in without taking the account off the list. A block is for moderators to look at.
    if account.status != STATUS_ACTIVE or store.has_logged_in(connection, user_id):
        links.keep(connection, user_id)
        return False
    leave(connection, account, now, journal_id)  # others may have followed them
    mails.forget(connection, user_id)
    accounts.forget(connection, links.auth_ids_of(connection, user_id))
    return True
