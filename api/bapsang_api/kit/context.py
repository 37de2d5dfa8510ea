"""What belongs to the request being served, where no argument carries it: its id, and whose token it carries."""

from contextvars import ContextVar
from typing import Final

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")
# The database keeps what somebody has just written in their own sight.
caller: Final[ContextVar[str | None]] = ContextVar("caller", default=None)


def current_request_id() -> str:
    """Return the id of the request being served, or an empty string outside of one."""
    return request_id.get()


def current_user_id() -> str | None:
    """Return the user whose token the request carries, None without one and outside of requests."""
    return caller.get()
