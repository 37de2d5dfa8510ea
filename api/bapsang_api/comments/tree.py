"""Which comments are listed, and the counts that follow from it, within the transaction of whoever holds the post's lock.

A comment is listed while it is ACTIVE or has a listed reply. Every act changes the status of one comment; this module
carries that up to the top of its group.
"""

from typing import Any

from sqlalchemy import Connection

from bapsang_api.comments import store
from bapsang_api.comments.models import STATUS_ACTIVE, Comment
from bapsang_api.comments.store import Node


def add(connection: Connection, comment: Comment) -> None:
    """Insert a comment that the post has been made to count (store.count_in), below a listed one or on top."""
    store.add(connection, comment)
    store.add_to_group(connection, comment.comment_group, listed=int(comment.depth > 0))


def take_from_sight(connection: Connection, node: Node, status: str, **changes: Any) -> None:
    """Give an ACTIVE comment another status. It goes, unless it has been answered, and with it what only led to it."""
    store.change(connection, node.comment_id, comment_status=status, **changes)
    gone = 0
    ended: Node | None = node
    while ended is not None and not store.has_listed_reply(connection, ended.comment_id):
        store.change(connection, ended.comment_id, listed=False)
        gone += int(ended.depth > 0)
        parent = _parent(connection, ended)
        ended = parent if parent is not None and parent.status != STATUS_ACTIVE else None
    store.add_to_counts(connection, node.post_id, node.comment_group, visible=-1, listed=-gone)


def bring_back(connection: Connection, node: Node) -> None:
    """Make a comment ACTIVE again, and list what leads to it."""
    store.change(connection, node.comment_id, comment_status=STATUS_ACTIVE)
    back = 0
    missing: Node | None = node
    while missing is not None and not missing.listed:
        store.change(connection, missing.comment_id, listed=True)
        back += int(missing.depth > 0)
        missing = _parent(connection, missing)
    store.add_to_counts(connection, node.post_id, node.comment_group, visible=1, listed=back)


def _parent(connection: Connection, node: Node) -> Node | None:
    return None if node.parent_id is None else store.node(connection, node.parent_id)
