"""Whom the request being served is for, where no argument carries it: the database keeps what somebody has just written
in their own sight."""

from contextvars import ContextVar

_user_id: ContextVar[str | None] = ContextVar("caller", default=None)


def current_user_id() -> str | None:
    """Return the user whose token the request carries, None without one and outside of requests."""
    return _user_id.get()


def set_user_id(user_id: str | None) -> None:
    _user_id.set(user_id)
