"""What people are told of acts of administrators: that it was done and until when, never by whom, nor the reason in the audit log."""

from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications.news import News
from bapsang_api.notifications.service import tell
from bapsang_api.notifications.vocabulary import Kind


def of_user(connection: Connection, user_id: str, said: str, now: datetime) -> None:
    """Tell somebody what became of their account, in the place of what they were told of it before."""
    tell(connection, [News(user_id, Kind.MODERATION, f"MODERATION:{user_id}", detail=said, renews=True)], now)


def of_post(connection: Connection, user_id: str, post_id: str, said: str, now: datetime) -> None:
    """Tell an author what became of a post. The caller holds its lock."""
    bundle = f"MODERATION:{post_id}"
    tell(connection, [News(user_id, Kind.MODERATION, bundle, post_id=post_id, detail=said, renews=True)], now)


def of_comment(connection: Connection, user_id: str, post_id: str, comment_id: str, said: str, now: datetime) -> None:
    """Tell an author what became of a comment. The caller holds the lock of its post."""
    bundle = f"MODERATION:{comment_id}"
    news = News(user_id, Kind.MODERATION, bundle, post_id=post_id, comment_id=comment_id, detail=said, renews=True)
    tell(connection, [news], now)


def of_content(connection: Connection, user_id: str, said: str, now: datetime) -> None:
    """Tell somebody what became of all that they wrote."""
    tell(connection, [News(user_id, Kind.MODERATION, f"MODERATION:CONTENT:{user_id}", detail=said, renews=True)], now)
