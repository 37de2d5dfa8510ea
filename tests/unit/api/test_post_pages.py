"""Which pages a changed post has read again: those that lack it and those that must not have it, and no others."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.posts.listing import Wanted

from .history import START, Loop, MySql, Row, State
from .reading import Process, run

TAG = "집밥"
BEFORE_TEN = Keyset(START + timedelta(hours=10), None)


class Pages:
    """A process that has answered pages of posts, each named by the hour in which it was written."""

    def __init__(self, loop: Loop, hours: tuple[int, ...]) -> None:
        self.mysql = MySql(loop, lambda choices: choices[0])
        self.mysql.commit(State({}, self.mysql.states[-1].authors))
        self.mysql.put(*(self.row(hour, "t") for hour in hours))
        self.mysql.ahead = 60 * 60 * 24 * 30.0
        self.process = Process(self.mysql)

    def row(self, hour: int, state: str) -> Row:
        """Return a post that is hidden ("h"), visible ("p"), or visible with the tag ("t")."""
        created = START + timedelta(hours=hour)
        return Row(
            f"{hour:026d}", "A", created, self.mysql.now, visible=state != "h", tags=(TAG,) if state == "t" else ()
        )

    async def read_again(self, pages: list[Wanted], changes: str) -> list[bool]:
        """Let posts change ("t7 h8"), and return for each page whether it was read again; all must be right."""
        await asyncio.sleep(5)
        for page in pages:
            await self.process.page(page)
        for change in changes.split():
            if change == "author":
                self.mysql.rename("A", "new")
            else:
                self.mysql.put(self.row(int(change[1:]), change[0]))
        await asyncio.sleep(2)
        found = []
        for page in pages:
            self.process.database.asked.clear()
            answer: dict[str, Any] = await self.process.page(page)
            shown = [item["postId"] for item in answer["items"]], answer["nextCursor"]
            assert shown == self.mysql.states[-1].shown(page)
            found.append("places" in {statement for _, statement, _ in self.process.database.asked})
        self.process.polling.cancel()
        return found


def read_again(hours: tuple[int, ...], pages: list[Wanted], changes: str) -> list[bool]:
    found: list[bool] = []

    async def main(loop: Loop) -> None:
        found.extend(await Pages(loop, hours).read_again(pages, changes))

    run(main, known=0)  # every page is read by itself
    return found


@pytest.mark.parametrize(
    ("changes", "all_posts", "tagged"),
    [
        # Both pages show the posts of hours 9 and 8; that of hour 6 tells them that more follow.
        ("author", False, False),
        ("p9", False, True),  # a tag that is gone
        ("t9", False, True),  # a count: of a tag's page nobody knows whether it is right
        ("p8 t6", False, True),
        ("h8", True, True),
        ("h6", True, True),  # what follows is not there any more
        ("p7", True, False),
        ("t7", True, True),
        ("t5 h7 p4 h4", False, False),  # below the page, or hidden
        ("t10", False, False),  # above the cursor
        ("t10 p7", True, False),
    ],
)
def test_a_page_is_read_again_for_what_belongs_on_it_and_for_what_does_not(
    changes: str, all_posts: bool, tagged: bool
) -> None:
    pages = [Wanted(tag, BEFORE_TEN, 2) for tag in (None, TAG)]
    assert read_again((9, 8, 6), pages, changes) == [all_posts, tagged]


@pytest.mark.parametrize(
    ("hours", "before", "changes", "again"),
    [
        ((9, 8), None, "p23", True),  # the first page is open above
        ((9, 8), None, "p0", True),  # the last one below
        ((), None, "p0", True),
        ((9, 8), Keyset(START + timedelta(hours=9), f"{9:026d}"), "p9", False),  # the post at which the page begins
    ],
)
def test_the_first_page_is_open_above_and_the_last_one_below(
    hours: tuple[int, ...], before: Keyset | None, changes: str, again: bool
) -> None:
    assert read_again(hours, [Wanted(None, before, 2)], changes) == [again]
