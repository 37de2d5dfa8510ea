"""Every list under random inserts, deletes and scrolls: what is there throughout a scroll is seen exactly once.

Each byte of a random program is one operation on the stores. Few distinct times, so that most items share theirs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert

from bapsang_api.comments import store as comment_store
from bapsang_api.comments import tree
from bapsang_api.comments.models import STATUS_DELETED, Comment
from bapsang_api.home import queries as home
from bapsang_api.kit.db.connections import Limits, open_engine
from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.likes.rows import store as liked_posts
from bapsang_api.likes.writeback import store as write_back
from bapsang_api.migrate import migrate
from bapsang_api.people import store as people
from bapsang_api.posts import queries as shown
from bapsang_api.posts import store as post_store

from .world import Backend

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
SIZE = 3
MOST_AT_ONCE = 40  # items; beyond that an insert is a delete
# Of about 500 operations, for each of the lists. Forty are 100,000 operations: a minute or two.
PROGRAMS = {"sqlite": int(os.environ.get("BAPSANG_TEST_CURSOR_PROGRAMS", "8")), "mysql": 2}
LENGTHS = {"sqlite": (400, 600), "mysql": (100, 200)}


def item_id(number: int) -> str:
    """Return distinct ids in no order, so that new items land on both sides of a cursor of the same time."""
    return f"{number * 7919 % 1_000_003:026d}"


@dataclass
class Shelf:
    """One list: real rows on one side, what should be listed on the other."""

    connection: Connection
    listed: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000_000)))

    def __post_init__(self) -> None:
        self.user_id = self.sign_up()
        self.post_id = self.write_post(0)

    def sign_up(self) -> str:
        number = next(self.numbers)
        user = {"nickname": f"n{number}", "user_role": "USER", "user_status": "ACTIVE", "created_at": START}
        self.connection.execute(insert(shown.users), {**user, "id": item_id(number)})
        return item_id(number)

    def new(self, argument: int) -> tuple[str, datetime]:
        return item_id(next(self.numbers)), START + timedelta(microseconds=argument % 4)

    def chosen(self, argument: int) -> str:
        return sorted(self.listed)[argument % len(self.listed)]

    def write_post(self, argument: int, author_id: str | None = None) -> str:
        post_id, created_at = self.new(argument)
        counts = {"view_count": 0, "like_count": 0, "comment_count": 0}
        row = {
            "id": post_id,
            "user_id": author_id or self.user_id,
            "title": "t",
            "created_at": created_at,
            "post_status": "ACTIVE",
        }
        self.connection.execute(insert(post_store.posts), {**row, **counts})
        return post_id

    def add(self, argument: int) -> None:
        raise NotImplementedError

    def remove(self, argument: int) -> None:
        raise NotImplementedError

    def page(self, after: Keyset | None) -> list[Following]:
        """Return the next page as the keysets of its items."""
        raise NotImplementedError


class Posts(Shelf):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.listed.add(self.post_id)

    def add(self, argument: int) -> None:
        self.listed.add(self.write_post(argument))

    def remove(self, argument: int) -> None:
        gone = self.chosen(argument)
        post_store.delete(self.connection, gone, START)
        self.listed.discard(gone)

    def page(self, after: Keyset | None) -> list[Following]:
        return shown.places(self.connection, None, after, SIZE)


class MyPosts(Posts):
    def page(self, after: Keyset | None) -> list[Following]:
        rows = shown.own(self.connection, self.user_id, after, SIZE)
        return [Following(row.created_at, row.post_id) for row in rows]


class PostsOfSomebody(Posts):
    def page(self, after: Keyset | None) -> list[Following]:
        return home.written_by(self.connection, self.user_id, after, SIZE)


class HomeFeed(Shelf):
    """Posts of more people than a page has posts, who are followed and not followed any more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.authors = [self.user_id, *(self.sign_up() for _ in range(2 * SIZE))]
        self.posts = {self.post_id: self.user_id}
        self.followed = {self.user_id}
        self.relist()

    def relist(self) -> None:
        self.listed = {post_id for post_id, author_id in self.posts.items() if author_id in self.followed}

    def add(self, argument: int) -> None:
        author_id = self.authors[argument % len(self.authors)]
        if author_id != self.user_id:
            people.follow(self.connection, self.user_id, author_id, START)
        self.followed.add(author_id)
        self.posts[self.write_post(argument, author_id)] = author_id
        self.relist()

    def remove(self, argument: int) -> None:
        gone = self.chosen(argument)
        author_id = self.posts[gone]
        if argument % 4 == 3 and author_id != self.user_id:
            people.unfollow(self.connection, self.user_id, author_id)
            self.followed.discard(author_id)
        else:
            post_store.delete(self.connection, gone, START)
            del self.posts[gone]
        self.relist()

    def page(self, after: Keyset | None) -> list[Following]:
        return home.home_feed(self.connection, self.user_id, after, SIZE)


class Bookmarks(Shelf):
    def add(self, argument: int) -> None:
        post_id = self.write_post(0)
        _, now = self.new(argument)
        people.keep(self.connection, self.user_id, post_id, now)
        self.listed.add(post_id)

    def remove(self, argument: int) -> None:
        gone = self.chosen(argument)
        if argument % 2:
            people.drop(self.connection, self.user_id, gone)
        else:
            post_store.delete(self.connection, gone, START)
        self.listed.discard(gone)

    def page(self, after: Keyset | None) -> list[Following]:
        return home.bookmarked(self.connection, self.user_id, after, SIZE)


class MyLikes(Shelf):
    def add(self, argument: int) -> None:
        post_id = self.write_post(argument)
        _, now = self.new(argument)
        write_back.apply(self.connection, {post_id: {self.user_id: True}}, now)
        self.listed.add(post_id)

    def remove(self, argument: int) -> None:
        gone = self.chosen(argument)
        if argument % 2:
            write_back.apply(self.connection, {gone: {self.user_id: False}}, START)
        else:
            post_store.delete(self.connection, gone, START)
        self.listed.discard(gone)

    def page(self, after: Keyset | None) -> list[Following]:
        rows = liked_posts.page(self.connection, self.user_id, after, SIZE)
        return [Following(row.liked_at, row.post.post_id) for row in rows]


class Comments(Shelf):
    """The top-level comments, some of which are answered and so outlive their deletion."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.parents: dict[str, str | None] = {}
        self.depths: dict[str, int] = {}
        self.active: set[str] = set()

    def write(self, argument: int, parent_id: str | None) -> str:
        comment_id, created_at = self.new(argument)
        comment = Comment(
            comment_id=comment_id,
            user_id=self.user_id,
            post_id=self.post_id,
            comment_group=comment_id,
            content="c",
            created_at=created_at,
        )
        if parent_id is not None:
            parent = self.node(parent_id)
            comment.parent_id, comment.comment_group, comment.depth = parent_id, parent.comment_group, parent.depth + 1
        assert comment_store.count_in(self.connection, self.post_id)
        tree.add(self.connection, comment)
        self.parents[comment_id], self.depths[comment_id] = (
            parent_id,
            0 if parent_id is None else self.depths[parent_id] + 1,
        )
        self.active.add(comment_id)
        return comment_id

    def node(self, comment_id: str) -> comment_store.Node:
        found = comment_store.node(self.connection, comment_id)
        assert found is not None
        return found

    def relist(self) -> None:
        """Say afresh what should be listed: what is active, and all that leads to it."""
        listed: set[str] = set()
        for comment_id in self.active:
            above: str | None = comment_id
            while above is not None:
                listed.add(above)
                above = self.parents[above]
        self.listed = {comment_id for comment_id in listed if self.shows(comment_id)}

    def shows(self, comment_id: str) -> bool:
        return self.parents[comment_id] is None

    def add(self, argument: int) -> None:
        answered = sorted(self.active & self.listed)
        self.write(argument, answered[argument % len(answered)] if answered and argument % 4 == 3 else None)
        self.relist()

    def remove(self, argument: int) -> None:
        gone = sorted(self.active)[argument % len(self.active)]
        tree.take_from_sight(self.connection, self.node(gone), STATUS_DELETED)
        self.active.discard(gone)
        self.relist()

    def page(self, after: Keyset | None) -> list[Following]:
        rows = comment_store.roots(self.connection, self.post_id, after, SIZE)
        return [Following(row.created_at, row.comment_id) for row in rows]


class Replies(Comments):
    """The replies of a group, down to the deepest level."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.top = self.write(0, None)
        self.active.discard(self.top)  # never deleted here, so nothing has to lead to it

    def shows(self, comment_id: str) -> bool:
        return self.parents[comment_id] is not None

    def add(self, argument: int) -> None:
        parents = [self.top, *(reply for reply in sorted(self.active) if self.depths[reply] < 3)]
        self.write(argument, parents[argument % len(parents)])
        self.relist()

    def page(self, after: Keyset | None) -> list[Following]:
        rows = comment_store.replies(self.connection, self.top, after, SIZE)
        return [Following(row.created_at, row.comment_id) for row in rows]


class Scroll:
    """One way through a list, page by page."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf, self.throughout = shelf, set(shelf.listed)
        self.seen: list[str] = []
        self.place: Keyset | None = None

    def go_on(self) -> bool:
        """Read a page. Returns False at the end, after checking what was seen."""
        rows = self.shelf.page(self.place)
        self.seen += [row.item_id for row in rows]
        if len(rows) == SIZE:
            self.place = rows[-1]
            return True
        assert len(self.seen) == len(set(self.seen)), "repeated"
        assert self.throughout <= set(self.seen), "skipped"
        return False

    def keep(self) -> None:
        """Note what is gone: it may be seen or not."""
        self.throughout &= self.shelf.listed


def run(program: bytes, shelf: Shelf) -> None:
    scroll = Scroll(shelf)
    for byte in program:
        action, argument = byte % 8, byte // 8
        if action < 3 and len(shelf.listed) < MOST_AT_ONCE:
            shelf.add(argument)
        elif action < 4 and shelf.listed:
            shelf.remove(argument)
            scroll.keep()
        elif not scroll.go_on():
            scroll = Scroll(shelf)
    while scroll.go_on():
        pass


@contextmanager
def rolled_back(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


@pytest.mark.parametrize("kind", [Posts, MyPosts, PostsOfSomebody, HomeFeed, Bookmarks, MyLikes, Comments, Replies])
def test_what_is_there_throughout_a_scroll_is_seen_exactly_once(
    backend: Backend, kind: Callable[[Connection], Shelf]
) -> None:
    url = backend.environment["BAPSANG_DATABASE_URL"]
    migrate(url)
    engine = open_engine(url, Limits(connections=1, statement_seconds=30))
    shortest, longest = LENGTHS[engine.dialect.name]
    quick = partial(settings, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))

    @quick(max_examples=PROGRAMS[engine.dialect.name])
    @given(program=st.binary(min_size=shortest, max_size=longest))
    def check(program: bytes) -> None:
        with rolled_back(engine) as connection:
            run(program, kind(connection))

    try:
        check()
    finally:
        engine.dispose()
