"""Comments as they are listed: each on top with the oldest replies of its group below it. Pure."""

from collections.abc import Set
from dataclasses import dataclass, field, replace
from typing import Final

from bapsang_api.comments.models import STATUS_ACTIVE
from bapsang_api.comments.store import CommentRow
from bapsang_api.kit.db.keyset import Following, cut

UNSEEN: Final = "UNSEEN"  # the status of a comment for who does not see its author
MOST_INLINE: Final = 50  # replies of a group that come with the comment on top


@dataclass(frozen=True)
class Thread:
    """A comment, the replies to it that come along, and where the rest of the group goes on, None without one."""

    comment: CommentRow
    replies: list["Thread"] = field(default_factory=list)
    following: Following | None = None


@dataclass(frozen=True)
class Page:
    """A page of comments and where the next one goes on, None on the last."""

    threads: list[Thread]
    following: Following | None


def page_of(roots: list[CommentRow], replies: list[CommentRow], size: int) -> Page:
    """Return the page of up to `size` + 1 comments on top, with the oldest replies of each group and one more."""
    shown, following = cut(roots, size, place_of)
    return Page(threads_of(shown, replies), following)


def threads_of(roots: list[CommentRow], replies: list[CommentRow]) -> list[Thread]:
    """Return the comments on top with the replies, which are the oldest of each group and one more, below them."""
    groups: dict[str, list[CommentRow]] = {root.comment_id: [] for root in roots}
    for reply in replies:
        groups[reply.comment_group].append(reply)
    return [_thread(root, groups[root.comment_id]) for root in roots]


def without(page: Page, hidden: Set[str]) -> Page:
    """Return the page as somebody sees it who does not see these people: their comments are places in the tree, or gone."""
    return Page(_without(page.threads, hidden), page.following)


def unseen(row: CommentRow) -> CommentRow:
    """Return what is shown of a comment whose author the reader does not see."""
    return replace(row, status=UNSEEN) if row.status == STATUS_ACTIVE else row


def _without(threads: list[Thread], hidden: Set[str]) -> list[Thread]:
    shown = []
    for thread in threads:
        replies, row = _without(thread.replies, hidden), thread.comment
        row = unseen(row) if row.author_id in hidden else row
        if row.status == STATUS_ACTIVE or replies or thread.following:
            shown.append(Thread(row, replies, thread.following))
    return shown


def place_of(row: CommentRow) -> Following:
    return Following(row.created_at, row.comment_id)


def _thread(root: CommentRow, replies: list[CommentRow]) -> Thread:
    shown, following = cut(replies, MOST_INLINE, place_of)
    top = Thread(root, following=following)
    places = {root.comment_id: top}
    # Oldest first, so a comment is there before the replies to it.
    for reply in shown:
        place = places[reply.comment_id] = Thread(reply)
        places[reply.parent_id or ""].replies.append(place)
    return top
