"""MySQL as a history of states, on a clock that tests move: whatever a process shows must have been in it at some moment."""

import asyncio
import selectors
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.db.keyset import Following, Keyset
from bapsang_api.posts.listing import Wanted

START = datetime(2026, 11, 28, tzinfo=UTC)
AUTHORS = ("A", "B")


class _Skipping(selectors.DefaultSelector):
    """Waits for nothing: whoever sleeps is woken at once, and it is as much later."""

    now = 1_000.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None:
            raise AssertionError("everybody waits, and nobody for a time")
        self.now += max(timeout, 0.0)
        return super().select(0)


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only while everybody sleeps."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)

    def time(self) -> float:
        return self._skipping.now


@dataclass(frozen=True)
class Row:
    """A post in MySQL."""

    post_id: str
    author_id: str
    created_at: datetime
    changed_at: datetime
    title: str = ""
    tags: tuple[str, ...] = ()
    visible: bool = True
    comments: int = 0
    updated_at: datetime | None = None
    content: str = "c"


@dataclass(frozen=True)
class Author:
    """An author in MySQL."""

    changed_at: datetime
    nickname: str = "n"
    updated_at: datetime | None = None


@dataclass(frozen=True)
class State:
    """What has been committed."""

    posts: Mapping[str, Row]
    authors: Mapping[str, Author]

    def page(self, tag: str | None, before: Keyset | None, limit: int) -> list[Following]:
        rows = [row for row in self.posts.values() if row.visible and (tag is None or tag in row.tags)]
        places = sorted(((row.created_at, row.post_id) for row in rows), reverse=True)
        beyond = [place for place in places if before is None or place < (before.created_at, before.item_id or "")]
        return [Following(*place) for place in beyond[:limit]]

    def shown(self, wanted: Wanted) -> tuple[list[str], object]:
        """Return the ids on a page and its cursor."""
        found = self.page(wanted.tag, wanted.before, wanted.size + 1)
        on_it = found[: wanted.size]
        last = on_it[-1] if len(found) > wanted.size else None
        cursor = last and {"id": last.item_id, "createdAt": to_wire(last.created_at)}
        return [place.item_id for place in on_it], cursor


@dataclass(frozen=True)
class Snapshot:
    """What a statement meets."""

    state: State
    now: datetime  # by the database's clock
    asked: list[tuple[str, str]] = field(default_factory=list)  # statements, and what each was asked for


@dataclass
class MySql:
    """All that was ever committed, and when."""

    loop: Loop
    chosen: Callable[[Sequence[Any]], Any]
    states: list[State] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    ahead: float = 0.0  # seconds of its clock

    def __post_init__(self) -> None:
        long_ago = START - timedelta(days=1)
        posts = [Row(f"{n:026d}", AUTHORS[n % 2], long_ago + timedelta(seconds=n), long_ago, f"t{n}") for n in range(6)]
        self.commit(State({row.post_id: row for row in posts}, {name: Author(long_ago) for name in AUTHORS}))

    @property
    def now(self) -> datetime:
        return START + timedelta(seconds=self.loop.time() + self.ahead)

    def commit(self, state: State) -> None:
        self.states.append(state)
        self.times.append(self.loop.time())

    def put(self, *rows: Row) -> None:
        """Commit posts, new or changed."""
        state = self.states[-1]
        self.commit(State({**state.posts, **{row.post_id: row for row in rows}}, state.authors))

    def change(self, post_id: str, *, stamped: float | None = 0.0, **changes: Any) -> None:
        """Commit a change of a post by a statement of `stamped` seconds ago; None: by one that leaves no trace in the row."""
        if stamped is not None:
            at = self.now - timedelta(seconds=stamped)
            changes = {"changed_at": at, "updated_at": at} | changes
        self.put(replace(self.states[-1].posts[post_id], **changes))

    def rename(self, author_id: str, nickname: str) -> None:
        """Commit another name of an author."""
        state = self.states[-1]
        self.commit(State(state.posts, {**state.authors, author_id: Author(self.now, nickname, self.now)}))

    def at(self, moment: float) -> State:
        return self.states[max(bisect_right(self.times, moment) - 1, 0)]

    def since(self, moment: float) -> list[State]:
        """Return the state at that moment and all later ones."""
        return self.states[max(bisect_right(self.times, moment) - 1, 0) :]

    def down(self, begin: float, end: float) -> tuple[float, float] | None:
        """Return the first outage that was within this time."""
        return next((outage for outage in self.outages if outage[0] <= end and outage[1] >= begin), None)
