"""Retention: what is kept for a stated time goes when that is over. The privacy policy states the same times; a test reads both.

Each call does a bounded amount, and is made with every like-sync run.
"""

from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth.purge import purge_links, purge_sessions, purge_unverified
from bapsang_api.comments import store as comments
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import first_id
from bapsang_api.mail import store as mail
from bapsang_api.mail.letters import GIVEN_UP_AFTER
from bapsang_api.mail.outbox import MARK_KEPT
from bapsang_api.notifications import store as notifications
from bapsang_api.people import store as people
from bapsang_api.posts import store as posts
from bapsang_api.posts.models import STATUS_ACTIVE, STATUS_DELETED, STATUS_HELD, STATUS_HIDDEN
from bapsang_api.privacy import store
from bapsang_api.users.service import forget_withdrawn

# A report may come late, and whoever deletes to hide it has not.
WORDS_KEPT: Final = timedelta(days=30)  # of deleted posts and comments
REPORTS_KEPT: Final = timedelta(days=365)
ACCESS_KEPT: Final = timedelta(days=92)  # three months (Protection of Communications Secrets Act, article 15-2)
AUDIT_KEPT: Final = timedelta(days=3 * 365)
MAIL_KEPT: Final = timedelta(days=90)  # that a letter was sent, and when
NEWS_KEPT: Final = timedelta(days=90)  # notifications, read or not
# As long as a backup can bring somebody back who was erased; the longest that RDS keeps one is 35 days.
ERASURES_KEPT: Final = timedelta(days=36)
_ROWS: Final = 1_000
_POSTS: Final = 20
_LIKES: Final = 5_000
_STATUSES: Final = (STATUS_ACTIVE, STATUS_HELD, STATUS_HIDDEN, STATUS_DELETED)
_LOGS: Final = (
    ("purged_reports", store.reports, REPORTS_KEPT),
    ("purged_access", store.access_log, ACCESS_KEPT),
    ("purged_mail", mail.mail_outbox, MAIL_KEPT),
    ("purged_audit", store.audit_log, AUDIT_KEPT),
    ("purged_erasures", store.erasures, ERASURES_KEPT),
)


async def purge(database: Database, clock: Clock) -> dict[str, int]:
    """Destroy what was kept long enough; return how much of each kind, by the names of log fields. Raises Unavailable."""
    now = clock.now()
    done = {"purged_sessions": await purge_sessions(database, clock)}
    done["purged_links"] = await purge_links(database, clock)
    done["cleared_users"] = await purge_unverified(database, clock)
    done["forgotten_users"] = await forget_withdrawn(database, clock)
    done["destroyed_posts"] = await _destroy_posts(database, now)
    done["destroyed_comments"] = await database.write(partial(_destroy_comments, now=now))
    old_news = partial(notifications.purge, before=now - NEWS_KEPT, limit=_ROWS)
    done["purged_notifications"] = await database.write(old_news)
    for name, table, kept in _LOGS:
        rows = partial(store.purge, table=table, before_id=first_id(now - kept), limit=_ROWS)
        done[name] = await database.write(rows)
    # By a day later than workers do: where there is no worker any more, what it had to send does not stay.
    late = partial(mail.give_up_before, first_id=first_id(now - GIVEN_UP_AFTER - timedelta(days=1)), limit=_ROWS)
    done["given_up_mail"] = await database.write(late)
    marks = partial(mail.purge_marks, before=now - MARK_KEPT, limit=_ROWS)
    done["purged_mail_marks"] = await database.write(marks)
    return done


async def _destroy_posts(database: Database, now: datetime) -> int:
    """Destroy what posts and all comments on them said, and who liked them. Their rows stay, for the ids that others hold."""
    post_ids = await database.read(partial(posts.deleted_before, moment=now - WORDS_KEPT, limit=_POSTS))
    for post_id in post_ids:
        while await database.write(partial(store.take_likes, post_id=post_id, limit=_LIKES)) == _LIKES:
            pass

    def destroy(connection: Connection) -> None:
        for post_id in sorted(post_ids):
            posts.lock(connection, post_id, _STATUSES)
        comments.destroy_all_of(connection, post_ids)
        people.forget_posts(connection, post_ids)
        posts.destroy(connection, post_ids, now)

    for post_id in post_ids:  # what was left when it was deleted
        while await database.write(partial(notifications.forget_posts, post_ids=[post_id])):
            pass
    if post_ids:
        await database.write(destroy)
    return len(post_ids)


def _destroy_comments(connection: Connection, now: datetime) -> int:
    places = comments.deleted_before(connection, now - WORDS_KEPT, _ROWS)
    for post_id in sorted({post_id for post_id, _ in places}):  # two that meet wait in a row, not in a circle
        posts.lock(connection, post_id, _STATUSES)
    comments.destroy(connection, [comment_id for _, comment_id in places])
    return len(places)
