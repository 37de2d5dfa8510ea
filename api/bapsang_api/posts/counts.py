"""The counts of posts that Redis holds: what posts need of likes and views, and how a row is shown with them.

Declared here, so that posts need not know the domain that implements it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar

from bapsang_api.kit.security.tokens import Principal
from bapsang_api.posts.view import PostItemView
from bapsang_api.posts.views import View, Views

ItemView = TypeVar("ItemView", bound=PostItemView)


class LikeCounts(Protocol):
    """What is needed of likes."""

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        """Return the live counts of those posts that have one; the others' rows are up to date."""


class ViewCounts(Protocol):
    """What is needed of views."""

    async def unwritten(self, post_ids: list[str]) -> dict[str, Views]:
        """Return the views of posts that are not in their rows. Raises Redis errors."""


class PostLikes(Protocol):
    """What posts need of likes."""

    async def counts(self, post_ids: list[str]) -> dict[str, int]:
        """Return the live counts of those posts that have one; the others' rows are up to date."""

    async def read(
        self, post_id: str, principal: Principal, written: int, view: View, *, again: bool
    ) -> tuple[bool, int, Views | None]:
        """Return whether the user likes the post, how many do, and its views, None while Redis is down; count the view.

        `written` is how many likes there were at the last write-back; `again`, whether the post was read before.
        """

    def listen(self, listener: Callable[[str, int], None]) -> None:
        """Have `listener` called for each post whose likes are changed here, with how many it has then."""

    async def withhold(self, post_id: str) -> None:
        """Let nobody like a post that is out of sight."""

    async def forget(self, post_id: str) -> None:
        """Forget the likes of a post that has been deleted for good."""


def with_views(row: ItemView, views: Mapping[str, Views]) -> ItemView:
    """Return the row with the views that are not in it."""
    found = views.get(row.post_id)
    return row if found is None else replace(row, view_count=max(row.view_count, found.written) + found.unwritten)


def with_count(row: ItemView, counts: dict[str, int]) -> ItemView:
    """Return the row with its live like count, if there is one."""
    return replace(row, like_count=counts.get(row.post_id, row.like_count))
