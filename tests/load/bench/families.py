"""Sessions that began before the run: refresh tokens as logins would have left them in the database, one family each."""

from __future__ import annotations

from datetime import UTC

from bapsang_api.auth.secrets import REFRESH_LIFETIME, hash_of, new_token
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.ids import Ids

from .servers import Mysql

#: So many that at the peak a session comes back after one and a half minutes, and its chain is out of the grace by then.
COUNT = 20_000
_SESSION = "INSERT INTO auth_sessions (id, user_id, created_at, last_used_at) VALUES (%s, %s, %s, %s)"
_TOKEN = "INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (%s, %s, %s)"


def begin(mysql: Mysql, count: int) -> list[str]:
    """Begin so many sessions, of one user after the other; return their refresh tokens."""
    users = [user for (user,) in mysql.rows("SELECT id FROM users ORDER BY id LIMIT %s", count)]
    clock = SystemClock()
    ids, now = Ids(clock), clock.now().astimezone(UTC).replace(tzinfo=None)
    found = [(ids.new(), users[at % len(users)], new_token()) for at in range(count)]
    with mysql.cursor() as cursor:
        cursor.execute("SET autocommit = 0")
        cursor.executemany(_SESSION, [(session, user, now, now) for session, user, _ in found])
        cursor.executemany(_TOKEN, [(hash_of(token), session, now + REFRESH_LIFETIME) for session, _, token in found])
        cursor.execute("COMMIT")
    return [token for _, _, token in found]
