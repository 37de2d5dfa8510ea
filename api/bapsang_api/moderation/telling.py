"""What people are told of acts of administrators: that it was done and until when, never by whom, nor the reason in the audit log."""

from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications.news import content_moderated, moderated
from bapsang_api.notifications.service import tell


def of_user(connection: Connection, user_id: str, said: str, now: datetime) -> None:
    """Tell somebody what became of their account, in the place of what they were told of it before."""
    tell(connection, [moderated(user_id, said)], now)


def of_post(connection: Connection, user_id: str, post_id: str, said: str, now: datetime) -> None:
    """Tell an author what became of a post. The caller holds its lock."""
    tell(connection, [moderated(user_id, said, post_id=post_id)], now)


def of_comment(connection: Connection, user_id: str, post_id: str, comment_id: str, said: str, now: datetime) -> None:
    """Tell an author what became of a comment. The caller holds the lock of its post."""
    tell(connection, [moderated(user_id, said, post_id=post_id, comment_id=comment_id)], now)


def of_content(connection: Connection, user_id: str, said: str, now: datetime) -> None:
    """Tell somebody what became of all that they wrote."""
    tell(connection, [content_moderated(user_id, said)], now)
