"""Blocking and muting, within the transaction of whoever composes the act."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.people import store
from bapsang_api.people.models import Reason
from bapsang_api.users.models import STATUS_DELETED

MOST_HIDDEN: Final = 2_000  # people whom one user may block and mute
_ONESELF: Final = "자기 자신에게는 할 수 없습니다."
_TOO_MANY: Final = f"{MOST_HIDDEN:,}명까지만 차단하거나 숨길 수 있습니다."


def block(connection: Connection, user_id: str, other_id: str, now: datetime) -> None:
    """Take two people from each other's sight, and end their follows. Raises InvalidInput, NotFound and Conflict."""
    _lock_pair(connection, user_id, other_id)
    if store.hide(connection, user_id, other_id, Reason.BLOCKS, now):
        _require_room(connection, user_id)
        store.hide(connection, other_id, user_id, Reason.BLOCKED_BY, now)
        store.end_follows(connection, user_id, other_id)


def unblock(connection: Connection, user_id: str, other_id: str) -> None:
    """End a block of the user's own. Raises InvalidInput and NotFound."""
    _lock_pair(connection, user_id, other_id)
    store.unhide(connection, user_id, other_id, Reason.BLOCKS)
    store.unhide(connection, other_id, user_id, Reason.BLOCKED_BY)


def mute(connection: Connection, user_id: str, other_id: str, now: datetime) -> None:
    """Take somebody from the user's lists; they do not learn of it. Raises InvalidInput, NotFound and Conflict."""
    _lock_pair(connection, user_id, other_id)
    if store.hide(connection, user_id, other_id, Reason.MUTES, now):
        _require_room(connection, user_id)


def unmute(connection: Connection, user_id: str, other_id: str) -> None:
    """Bring somebody back to the user's lists. Raises InvalidInput and NotFound."""
    _lock_pair(connection, user_id, other_id)
    store.unhide(connection, user_id, other_id, Reason.MUTES)


def _lock_pair(connection: Connection, user_id: str, other_id: str) -> None:
    if user_id == other_id:
        raise InvalidInput(FieldError("userId", _ONESELF))
    if not is_ulid(other_id):
        raise NotFound
    status = store.lock_people(connection, user_id, other_id)
    if user_id not in status or status.get(other_id, STATUS_DELETED) == STATUS_DELETED:
        raise NotFound


def _require_room(connection: Connection, user_id: str) -> None:
    if store.count_hidden(connection, user_id) > MOST_HIDDEN:
        raise Conflict(_TOO_MANY)
