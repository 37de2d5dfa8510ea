"""Who is told of likes, within the transaction that writes them back: the author of a post, once a post and batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from bapsang_api.notifications import service
from bapsang_api.notifications.news import liked, likes_of
from bapsang_api.notifications.store import forget_bundles, hidden_pairs

Pair = tuple[str, str]  # post, user


def tell(connection: Connection, authors: Mapping[str, str], new: Sequence[Pair], now: datetime) -> None:
    """Tell the authors of posts of likes that were just inserted, each post by one of those whom its author sees."""
    waiting: dict[str, list[str]] = {}
    for post_id, user_id in new:
        if user_id != authors[post_id]:
            waiting.setdefault(post_id, []).append(user_id)
    news = []
    while waiting:  # a round for each liker of a post that its author has hidden: mostly one
        chosen = {post_id: likers.pop() for post_id, likers in waiting.items()}
        hidden = hidden_pairs(connection, {(authors[post_id], liker) for post_id, liker in chosen.items()})
        unseen = {post_id for post_id, liker in chosen.items() if (authors[post_id], liker) in hidden}
        news += [liked(authors[post_id], post_id, chosen[post_id]) for post_id in chosen if post_id not in unseen]
        waiting = {post_id: likers for post_id, likers in waiting.items() if post_id in unseen and likers}
    service.tell(connection, news, now)


def forget(connection: Connection, authors: Mapping[str, str], unliked: Iterable[str]) -> None:
    """Delete what tells of the likes of these posts, which have none any more."""
    forget_bundles(connection, [(authors[post_id], likes_of(post_id)) for post_id in unliked])
