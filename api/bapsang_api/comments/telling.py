"""Who is told of a comment, within the transaction that writes it: the author above it, the post's author, and whom it mentions."""

from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.comments.models import Comment
from bapsang_api.comments.store import Node
from bapsang_api.notifications.mentions import mentioned
from bapsang_api.notifications.news import News, commented
from bapsang_api.notifications.service import tell
from bapsang_api.notifications.store import active_named
from bapsang_api.notifications.vocabulary import Kind
from bapsang_api.posts import store as posts


def tell_of_new(connection: Connection, comment: Comment, parent: Node | None, now: datetime) -> None:
    """Tell of a comment that was just written; each person once, of what it is to them most of all."""
    author_id = posts.author_of(connection, comment.post_id)
    kinds = dict.fromkeys(active_named(connection, mentioned(comment.content)), Kind.MENTION)
    kinds[author_id] = Kind.COMMENT
    if parent is not None:
        kinds[parent.user_id] = Kind.REPLY
    news = [_news(user_id, kind, comment.user_id, comment, author_id) for user_id, kind in kinds.items()]
    tell(connection, news, now)


def tell_of_change(connection: Connection, node: Node, before: str, after: str, now: datetime) -> None:
    """Tell those whom a comment mentions now and did not mention before; who was told of it before is not told again."""
    old, new = set(mentioned(before)), mentioned(after)
    names = [name for name in new if name not in old]
    if not names:
        return
    author_id = posts.author_of(connection, node.post_id)
    people = active_named(connection, names)
    tell(connection, [_news(user_id, Kind.MENTION, node.user_id, node, author_id) for user_id in people], now)


def _news(user_id: str, kind: Kind, actor_id: str, comment: Comment | Node, author_id: str) -> News:
    return commented(
        user_id,
        kind,
        actor_id=actor_id,
        post_id=comment.post_id,
        author_id=author_id,
        comment_id=comment.comment_id,
    )
