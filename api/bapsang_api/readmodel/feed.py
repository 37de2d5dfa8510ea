"""The change feed: which rows have changed, whoever changed them.

Two ways bring changes. A message, published by the process that wrote as soon as its transaction is committed: quick, but it may
be lost. And a poll: twice a second one statement asks MySQL for the rows that carry a later time of change than the last one
asked for. It misses nothing, also not what was changed by hand, so the message only makes a change show sooner.

A row carries the time of its statement and is found only after the commit, so each poll looks back OVERLAP before the last.
"""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

from redis.asyncio import Redis
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database, written_by
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import OUTAGE
from bapsang_api.kit.redis.pipeline import Pipeline
from bapsang_api.readmodel.entry import EXPIRED, SOFT_SECONDS

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5
# Longer than a transaction takes from its statement to its commit. A larger one is told by its message, and found by rereading.
OVERLAP: Final = timedelta(seconds=3)
# Less than what OVERLAP leaves beside a transaction.
SET_BACK_SECONDS: Final = 0.5
# More changes than this in one poll, and every entry is revalidated by itself.
MOST_CHANGES: Final = 10_000
# For how long names that have changed are remembered: longer than reads take, and than a healthy replica lags.
RECENT_SECONDS: Final = 5.0
# For how long after a question a failure to answer it says that MySQL does not answer: less than the 2 s within which everybody sees
# a change, because MySQL may answer again right after the question.
FAILURE_SECONDS: Final = 1.9
# In which a poll must be answered once one has failed, and the pause after it: two of them are asked within FAILURE_SECONDS.
_PROBE_SECONDS: Final = 0.8
_PROBE_PAUSE: Final = 0.25
_CHANNEL: Final = "bapsang:changes"
_RETRY_SECONDS: Final = 1.0


class PostChange(NamedTuple):
    """A changed post as it is now: what lists and pages of comments need to know of it."""

    post_id: str
    place: str  # sorts as lists do: when it was made, and the id
    visible: bool
    tagged: bool
    comment_version: int


@dataclass(frozen=True)
class Polled:
    """The rows that one poll found changed: all their ids, the posts among them, and the users among them who hide somebody."""

    names: Set[str] = frozenset()
    posts: tuple[PostChange, ...] = ()
    viewers: Set[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Answer:
    """What MySQL answers to a poll: changes as text, up to `now` by its clock. `whole`: whether these are all."""

    now: datetime
    changes: Set[str]
    whole: bool


class Subscriber(Protocol):
    """A cache that follows the feed."""

    def invalidate(self, names: Collection[str]) -> None:
        """Serve nothing that shows one of these before it has been read again."""

    def poll(self, polled: Polled, before: float) -> None:
        """Revalidate what shows one of these; it was right at `before`."""

    def lose_position(self, before: float) -> None:
        """Revalidate every entry by itself: changes after `before` may have been missed."""

    def recover(self) -> None:
        """Expire what was read from a replica while MySQL did not answer."""


class Source(NamedTuple):
    """The statement of a poll, and the reader of its answer."""

    ask: Callable[[Connection, datetime | None, int], Answer]
    parse: Callable[[Set[str]], Polled]


class ChangeFeed:
    """Brings changes to the caches of this process, and those of this process to all others."""

    def __init__(
        self,
        database: Database,
        source: Source,
        redis: Redis | None = None,
        pipeline: Pipeline | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database, self._source, self._timer = database, source, timer
        self.now = timer  # by which all entries are dated
        self._redis, self._pipeline = redis, pipeline
        self._subscribers: list[Subscriber] = []
        self._listeners: list[Callable[[Collection[str]], None]] = []
        self._recent: OrderedDict[str, float] = OrderedDict()  # names, and when they were reported changed
        self._forgotten = EXPIRED  # when the latest of those was reported that are not remembered any more
        self._until: datetime | None = None  # changes up to here are reported, by MySQL's clock
        self._reported: Set[str] = frozenset()
        # Every change that was committed before `position` and after `since` has been reported (monotonic seconds).
        self.position, self.since = EXPIRED, float("inf")
        self.listening_since = float("inf")
        self.fresh_until = EXPIRED  # of what it carries: SOFT_SECONDS after the position
        # When the last questions were asked that MySQL failed to answer, since the last poll that it answered, and that it answered.
        self._failed_at, self._answered_at = EXPIRED, EXPIRED

    @property
    def answering(self) -> bool:
        """Whether MySQL answers, as far as is known."""
        failed_at = self._failed_at
        return failed_at <= self._answered_at or self._timer() - failed_at >= FAILURE_SECONDS

    def fail(self, asked: float) -> None:
        """Note that MySQL has failed to answer a question of then. Not of now: the process may have been stopped meanwhile."""
        self._failed_at = max(self._failed_at, asked)

    def succeed(self, asked: float) -> None:
        """Note that MySQL has answered a question of then."""
        self._answered_at = max(self._answered_at, asked)

    def subscribe(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)

    def on_message(self, listener: Callable[[Collection[str]], None]) -> None:
        """Have `listener` called with the names of each message."""
        self._listeners.append(listener)

    async def publish(self, names: Collection[str]) -> None:
        """Report changes that are committed, here and to all other processes. Never fails: what is written is written."""
        with after_commit("changes.not_applied"):
            self.receive(names)
        if self._pipeline is not None:
            with after_commit("changes.not_published"):
                # Answered once the message is on its way to every process, so before the writer learns of its success.
                await self._pipeline.run("PUBLISH", _CHANNEL, " ".join(names))

    def receive(self, names: Collection[str]) -> None:
        """Apply a message."""
        self._remember(names)
        for subscriber in self._subscribers:
            subscriber.invalidate(names)
        for listener in self._listeners:
            listener(names)

    async def follow_messages(self) -> None:
        """Receive what other processes publish, for ever; cancelled when the process ends."""
        assert self._redis is not None  # noqa: S101 - only tests make a feed without
        answering = True
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as messages:
                    await messages.subscribe(_CHANNEL)
                    answering, self.listening_since = True, self._timer()
                    async for message in messages.listen():
                        self.receive(str(message["data"]).split())
            except OUTAGE as error:
                self.listening_since = float("inf")
                if answering:  # once per outage
                    log.warning("changes.no_messages", extra={"error": type(error).__name__})
                answering = False
            await asyncio.sleep(_RETRY_SECONDS)

    async def follow_database(self) -> None:
        """Poll for ever; cancelled when the process ends. On SQLite rows carry no time of change: entries go by their age."""
        if self._database.dialect != "mysql":
            return
        failing = False
        while True:
            asked = self._timer()
            try:
                async with asyncio.timeout(_PROBE_SECONDS if failing else None):
                    await self.poll()
                failing = False
            except (Unavailable, DBAPIError, TimeoutError) as error:
                if not failing:  # once per outage
                    log.warning("changes.not_polled", extra={"error": type(error).__name__})
                failing = True
                self.fail(asked)
            await asyncio.sleep(_PROBE_PAUSE if failing else POLL_SECONDS)

    async def poll(self) -> None:
        """Report what has changed since the last poll. Raises Unavailable, and DBAPIError before the database is migrated."""
        asked, before = self._timer(), self.position
        since = None if self._until is None else self._until - OVERLAP
        answer = await self._database.read(lambda connection: self._source.ask(connection, since, MOST_CHANGES))
        self.succeed(asked)
        polled = self._source.parse(answer.changes - self._reported)
        if not (self._until and answer.whole and not self._set_back(self._until, answer.now, asked)):
            self.since = asked
            for subscriber in self._subscribers:
                subscriber.lose_position(before)
        self._reported, self._until = answer.changes, answer.now
        self._remember(polled.names)
        if self._failed_at != EXPIRED:
            self._failed_at = EXPIRED
            for subscriber in self._subscribers:
                subscriber.recover()
                subscriber.invalidate(polled.names)
        if polled.names:
            for subscriber in self._subscribers:
                subscriber.poll(polled, before)
        self.position, self.fresh_until = asked, asked + SOFT_SECONDS

    def changed_since(self, moment: float, *names: str) -> bool:
        """Return whether a change of one of these was reported after `moment`, or may have been: too long ago to be remembered."""
        if moment <= self._forgotten:
            return True
        recent = self._recent
        return bool(recent) and any(recent.get(name, EXPIRED) >= moment for name in names)

    def wrote_recently(self, user_id: str) -> bool:
        """Return whether the user has written within RECENT_SECONDS, or may have: only messages tell who wrote."""
        moment = self._timer() - RECENT_SECONDS
        return self.listening_since > moment or self.changed_since(moment, written_by(user_id))

    def _remember(self, names: Collection[str]) -> None:
        now, recent = self._timer(), self._recent
        for name in names:
            recent[name] = now
            recent.move_to_end(name)
        while recent and next(iter(recent.values())) < now - RECENT_SECONDS:
            _, self._forgotten = recent.popitem(last=False)

    def _set_back(self, until: datetime, now: datetime, asked: float) -> bool:
        """Return whether MySQL's clock shows less than has passed since the last poll: another server has taken over, and changes
        may lie behind those that were reported. A poll that took long looks the same, which costs only speed.
        """
        return (now - until).total_seconds() < asked - self.position - SET_BACK_SECONDS
