"""Notifications as they are written, to everybody who has a stream open in this process.

A stream knows the number up to which it has sent. Numbers follow the order of commits, so whoever looks for those above it sends
each once and leaves none out, whatever told it to look: a message of the change feed, which is quick and may be lost, or the poll
of all inboxes with open streams.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Collection, Container, Iterable
from functools import partial
from itertools import chain
from typing import Final

from bapsang_api.http.streaming import Sink
from bapsang_api.inbox import store
from bapsang_api.inbox.store import Key, NotificationRow
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.logs import describe
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.likes.store import chunks
from bapsang_api.notifications.store import INBOX

log = logging.getLogger(__name__)

#: Of one user in one process; one more ends the oldest.
MOST_OF_ONE: Final = 5
#: Of a process: some 50 MiB (docs/performance.md).
MOST: Final = 5_000
#: What a stream may be behind; who comes back after more is told to load the list.
MOST_BEHIND: Final = 100
POLL_SECONDS: Final = 3.0
#: A comment, so that nobody in between takes the connection for dead: load balancers close what is idle for 60 s.
HEARTBEAT_SECONDS: Final = 15.0
#: After which clients come back, each after another time: a process that ends sends all of its streams away at once.
_RETRY_MS: Final = (1_000, 5_000)
_TICK_SECONDS: Final = 1.0
#: Messages that come within it are answered by one statement.
_GATHER_SECONDS: Final = 0.05
_IDS: Final = 1_000
_KEYS: Final = 500
_HEARTBEAT: Final = b":\n\n"


class InboxStream:
    """A stream of somebody's notifications. `position` is the number of the last that it has sent, None for a client that has
    to load the list first."""

    __slots__ = ("_streams", "beat_at", "expires", "position", "session_id", "sink", "user_id")

    def __init__(self, streams: "InboxStreams", principal: Principal, expires: int, position: int | None) -> None:
        self._streams, self.user_id, self.session_id = streams, principal.user_id, principal.session_id
        self.expires, self.position = expires, position
        self.sink: Sink | None = None
        self.beat_at = 0.0

    def begin(self, sink: Sink) -> None:
        self.sink = sink
        self._streams.add(self)

    def lose(self) -> None:
        self._streams.remove(self)

    def send(self, data: bytes) -> None:
        if self.sink is not None:
            self.sink.send(data)

    def end(self) -> None:
        self._streams.remove(self)
        if self.sink is not None:
            self.sink.end()
            self.sink = None


class InboxStreams:
    """The open streams of this process."""

    def __init__(
        self,
        database: Database,
        revoked: Container[str],
        clock: Clock,
        metrics: Metrics,
        render: Callable[[NotificationRow], bytes],
    ) -> None:
        """`render` returns an item as JSON."""
        self._database, self._revoked, self._clock, self._metrics = database, revoked, clock, metrics
        self._render = render
        self._of: dict[str, list[InboxStream]] = {}  # by user, the oldest first
        self._woken: set[str] = set()
        self._wake = asyncio.Event()
        self._is_draining = False

    async def open(
        self, principal: Principal, expires: int, last_event_id: int | None, *, resumes: bool
    ) -> InboxStream:
        """Return a stream from after `last_event_id`, or, unless it `resumes`, of what is written from now on.

        It ends at `expires`, with its session, and when the process drains. Raises Unavailable, also when there are too many.
        """
        if self._is_draining or self._metrics.streams >= MOST:
            raise Unavailable
        if not resumes:
            read = partial(store.last_numbers, user_ids=[principal.user_id])
            last_event_id = (await self._database.read(read)).get(principal.user_id, 0)
        return InboxStream(self, principal, expires, last_event_id)

    def add(self, stream: InboxStream) -> None:
        """Begin to send to a stream."""
        if self._is_draining:
            stream.end()
            return
        theirs = self._of.setdefault(stream.user_id, [])
        theirs.append(stream)
        self._metrics.streams += 1
        if len(theirs) > MOST_OF_ONE:
            theirs[0].end()
        stream.beat_at = asyncio.get_running_loop().time() + HEARTBEAT_SECONDS
        stream.send(b"retry: %d\n\n" % random.randint(*_RETRY_MS))
        self._look_at([stream.user_id])

    def remove(self, stream: InboxStream) -> None:
        """Send nothing more to a stream."""
        theirs = self._of.get(stream.user_id, [])
        if stream in theirs:
            theirs.remove(stream)
            self._metrics.streams -= 1
        if not theirs:
            self._of.pop(stream.user_id, None)

    def drain(self) -> None:
        """End every stream, so that clients come back to another process."""
        self._is_draining, count = True, self._metrics.streams
        for stream in self._all():
            stream.end()
        if count:
            log.info("streams.drained", extra={"streams": count})

    def receive(self, names: Collection[str]) -> None:
        """Look at the inboxes among the names of a message."""
        if self._of:
            inboxes = (name.removeprefix(INBOX) for name in names if name.startswith(INBOX))
            self._look_at([user_id for user_id in inboxes if user_id in self._of])

    async def follow(self) -> None:
        """Send what is written, for ever; cancelled when the process ends."""
        loop, failing, polled_at = asyncio.get_running_loop(), False, 0.0
        while True:
            try:
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(_GATHER_SECONDS)
            self._tend(loop.time())
            self._wake.clear()
            whose, self._woken = self._woken, set()
            if loop.time() - polled_at >= POLL_SECONDS:
                whose, polled_at = set(self._of), loop.time()
            try:
                await self._deliver(whose)
                failing = False
            except Unavailable as error:  # the next poll makes up for it
                if not failing:  # once per outage
                    log.warning("streams.not_delivered", extra={"error": describe(error.__cause__ or error)})
                failing = True

    def _look_at(self, user_ids: Collection[str]) -> None:
        if user_ids:
            self._woken.update(user_ids)
            self._wake.set()

    def _all(self) -> list[InboxStream]:
        return list(chain.from_iterable(self._of.values()))

    def _tend(self, now: float) -> None:
        """End the streams whose token or session has ended, and let the others beat."""
        seconds, revoked = self._clock.seconds(), self._revoked
        for stream in self._all():
            if seconds >= stream.expires or stream.session_id in revoked:
                stream.end()
            elif now >= stream.beat_at:
                stream.beat_at = now + HEARTBEAT_SECONDS
                stream.send(_HEARTBEAT)

    async def _deliver(self, user_ids: Iterable[str]) -> None:
        for some in chunks((user_id for user_id in user_ids if user_id in self._of), _IDS):
            # Those that are added while this reads are looked at next: their positions are their own.
            streams = {user_id: list(self._of.get(user_id, ())) for user_id in some}
            lasts = await self._database.read(partial(store.last_numbers, user_ids=some))
            behind = {user_id: _missing(streams[user_id], lasts.get(user_id, 0)) for user_id in some}
            rows: dict[str, list[NotificationRow]] = {}
            for keys in chunks(chain.from_iterable(_keys(*one) for one in behind.items()), _KEYS):
                for row in await self._database.read(partial(store.these, keys=keys)):
                    rows.setdefault(row.user_id, []).append(row)
            for user_id in some:
                if streams[user_id]:
                    self._send(streams[user_id], lasts.get(user_id, 0), rows.get(user_id, []))

    def _send(self, streams: list[InboxStream], last: int, rows: list[NotificationRow]) -> None:
        events = [(row.number, self._event(row)) for row in rows]
        for stream in streams:
            if not _is_in_reach(stream, last):
                stream.send(b"event: reset\nid: %d\ndata: {}\n\n" % last)
            else:
                new = [event for number, event in events if number > (stream.position or 0)]
                for event in new:
                    stream.send(event)
                self._metrics.stream_events.inc(len(new))
            stream.position = last

    def _event(self, row: NotificationRow) -> bytes:
        return b"event: notification\nid: %d\ndata: %b\n\n" % (row.number, self._render(row))


def _is_in_reach(stream: InboxStream, last: int) -> bool:
    """Return whether what a stream has not sent can be sent one by one. A position beyond the last is of another database."""
    return stream.position is not None and 0 <= last - stream.position <= MOST_BEHIND


def _missing(streams: list[InboxStream], last: int) -> range:
    """Return the numbers that at least one of these streams has not sent."""
    positions = [stream.position or 0 for stream in streams if _is_in_reach(stream, last)]
    return range(min(positions, default=last) + 1, last + 1)


def _keys(user_id: str, numbers: range) -> list[Key]:
    return [(user_id, number) for number in numbers]
