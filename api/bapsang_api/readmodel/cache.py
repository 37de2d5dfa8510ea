"""A cache of the read model: get, invalidate and revalidate, for posts, lists, pages of comments and profiles alike.

Stale-while-revalidate by the ages of entry.py, with what the feed reports: a message expires an entry at once, a polled change has
it revalidated, and what neither names is as current as the feed's last poll. Reads of concurrent requests are coalesced.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection

from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.problem import Unavailable
from bapsang_api.readmodel.entry import (
    EXPIRED,
    HARD_SECONDS,
    OUTAGE_SECONDS,
    REREAD_SECONDS,
    SOFT_SECONDS,
    Bounds,
    Entry,
    K,
    Loaded,
    Usage,
    V,
)
from bapsang_api.readmodel.feed import ChangeFeed, Polled

T = TypeVar("T")
Read = Callable[[Callable[[Connection], T]], Awaitable[T]]
"""Runs a read on the server that the cache may ask now."""
Load = Callable[[Collection[K], Mapping[K, V], Read[Any]], Awaitable[Mapping[K, Loaded[V]]]]
"""Takes keys, the values known of them, and how to read. Returns what there is; a key that is left out has no value."""
Affected = Callable[[Any, Polled], Iterable[K]]
"""Takes the cache and what was polled. Returns the keys of the entries that it contradicts, or may contradict."""


class Cache(Generic[K, V]):
    """Entries by key, least recently used first."""

    def __init__(
        self,
        database: Database,
        feed: ChangeFeed,
        load: Load[K, V],
        bounds: Bounds,
        *,
        affected: Affected[K] | None = None,
    ) -> None:
        """`affected` is for entries that show rows they do not name; without it a poll affects what names a changed row."""
        self._database, self._feed, self._load, self._bounds, self._timer = database, feed, load, bounds, feed.now
        self._affected = affected
        self._entries: OrderedDict[K, Entry[K, V]] = OrderedDict()
        self._by_name: dict[str, K | set[K]] = {}
        self._bytes = 0
        self._polls = 0  # that reported changes
        self.turns = 0  # how often an entry may have begun to show something else, or to be stale
        self._reads: Coalescer[K, Entry[K, V]] = Coalescer(self._read)
        feed.subscribe(self)

    def usage(self) -> Usage:
        return Usage(len(self._entries), self._bytes)

    def peek(self, key: K) -> Entry[K, V] | None:
        """Return the entry if it may be served right now, and have it revalidated if it is due."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        now = self._timer()
        # The usual case by itself, because it is all that a hit costs.
        fresh = (entry.followed and now < self._feed.fresh_until) or now < entry.current_at + SOFT_SECONDS
        if not (fresh and now < entry.read_at + REREAD_SECONDS) and not self._may_serve(entry, now):
            return None
        self._entries.move_to_end(key)
        return entry

    def peek_all(self, keys: Iterable[K]) -> list[Entry[K, V]] | None:
        """Return the entries if all may be served right now. Who is served a list of entries does not use each of them: their order of
        eviction stays.
        """
        now, fresh_until, found = self._timer(), self._feed.fresh_until, []
        for key in keys:
            entry = self._entries.get(key)
            if entry is None:
                return None
            fresh = (entry.followed and now < fresh_until) or now < entry.current_at + SOFT_SECONDS
            if not (fresh and now < entry.read_at + REREAD_SECONDS) and not self._may_serve(entry, now):
                return None
            found.append(entry)
        return found

    async def get(self, key: K) -> Entry[K, V] | None:
        """Return the entry as it is from now on, None where there is nothing. Raises Unavailable."""
        known = self._entries.get(key)
        if known is not None and not self._feed.answering and self._survives_outage(known):
            return known  # better than a replica that may lag
        try:
            return await self._reads.get(key)
        except Unavailable:
            known = self._entries.get(key)
            if known is None or not self._survives_outage(known):
                raise
            return known

    async def warm(self, keys: Collection[K]) -> bool:
        """Read keys before anybody asks for them; return whether there is room for more. Raises Unavailable."""
        new = [key for key in keys if key not in self._entries]
        if new:
            await self._read(new)
        for key in new:
            if key in self._entries:
                self._entries.move_to_end(key, last=False)  # the first to be evicted
        bounds = self._bounds
        return len(self._entries) + len(keys) <= bounds.entries and self._bytes < 0.9 * bounds.bytes

    def find(self, key: K) -> Entry[K, V] | None:
        """Return the entry, whether it may be served or not."""
        return self._entries.get(key)

    def entries(self) -> Collection[Entry[K, V]]:
        return self._entries.values()

    def expire(self, key: K) -> None:
        """Serve the entry only after it has been read again."""
        if (entry := self._entries.get(key)) is not None:
            entry.stop_following(EXPIRED)
            self.turns += 1

    def showing(self, names: Iterable[str]) -> set[K]:
        """Return the keys of the entries that show one of these rows."""
        found: set[K] = set()
        for name in names:
            if name in self._entries:
                found.add(name)  # type: ignore[arg-type]
            keys = self._by_name.get(name)
            if isinstance(keys, set):
                found |= keys
            elif keys is not None:
                found.add(keys)
        return found

    def invalidate(self, names: Collection[str]) -> None:
        for key in self.showing(names):
            self._entries[key].stop_following(EXPIRED)
            self.turns += 1

    def poll(self, polled: Polled, before: float) -> None:
        self._polls += 1
        for key in self.showing(polled.names) if self._affected is None else self._affected(self, polled):
            self._entries[key].stop_following(before)
            self.turns += 1

    def lose_position(self, before: float) -> None:
        self.turns += 1
        for entry in self._entries.values():
            entry.stop_following(before)

    def recover(self) -> None:
        self.turns += 1
        for entry in self._entries.values():
            if entry.from_replica:
                entry.stop_following(EXPIRED)

    def _may_serve(self, entry: Entry[K, V], now: float) -> bool:
        age = self._age(entry, now)
        if age >= HARD_SECONDS:
            return False
        if age >= SOFT_SECONDS or now >= entry.read_at + REREAD_SECONDS:
            self._reads.prefetch(entry.key)
        return True

    def _age(self, entry: Entry[K, V], now: float) -> float:
        return now - (max(entry.current_at, self._feed.position) if entry.followed else entry.current_at)

    def _survives_outage(self, entry: Entry[K, V]) -> bool:
        return self._age(entry, self._timer()) < OUTAGE_SECONDS

    async def _read(self, keys: Collection[K]) -> dict[K, Entry[K, V]]:
        asked, polls = self._timer(), self._polls
        known = {key: entry.value for key in keys if (entry := self._entries.get(key)) is not None}
        reading = _Reading(self._database, self._feed)
        loaded = await self._load(keys, known, reading.run)
        found = {}
        for key in keys:
            one = loaded.get(key)
            if one is None:
                self._drop(key)
                continue
            entry = Entry(key, one.value, one.names, one.size, asked, asked, followed=False)
            entry.from_replica = reading.from_replica
            entry.followed = not (reading.from_replica or asked < self._feed.since)
            if self._affected is not None and self._polls != polls:
                entry.followed = False  # it may lack what was reported meanwhile, which nobody reports again
            if self._feed.changed_since(asked, *_names_of(entry)) or (reading.from_replica and self._feed.answering):
                entry.stop_following(EXPIRED)  # whoever asks next has it read again
            found[key] = self._store(entry)
        return found

    def _store(self, entry: Entry[K, V]) -> Entry[K, V]:
        self._drop(entry.key)
        self._entries[entry.key] = entry
        for name in entry.names:
            keys = self._by_name.setdefault(name, entry.key)
            if isinstance(keys, set):
                keys.add(entry.key)
            elif keys != entry.key:
                self._by_name[name] = {keys, entry.key}
        self._bytes += entry.size
        self._evict()
        return entry

    def _evict(self) -> None:
        while len(self._entries) > self._bounds.entries or self._bytes > self._bounds.bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self._bytes -= entry.size
        self.turns += 1
        entry.stop_following(EXPIRED)  # for those who hold it
        for name in entry.names:
            keys = self._by_name[name]
            if isinstance(keys, set):
                keys.discard(key)
            if not keys or keys == key:
                del self._by_name[name]


class _Reading:
    """The reads of one load: from the writer, and while that does not answer from a replica."""

    def __init__(self, database: Database, feed: ChangeFeed) -> None:
        self._database, self._feed = database, feed
        self.from_replica = False

    async def run(self, work: Callable[[Connection], T]) -> T:
        if self._feed.answering:
            asked = self._feed.now()
            try:
                found = await self._database.read(work)
                self._feed.succeed(asked)
                return found
            except Unavailable:
                if not self._database.lags:
                    raise
                # The next poll that is answered expires what the replica answers meanwhile.
                self._feed.fail(asked)
        self.from_replica = self._database.lags
        return await self._database.read_lagging(work)


def _names_of(entry: Entry[K, V]) -> tuple[str, ...]:
    return (entry.key, *entry.names) if isinstance(entry.key, str) else entry.names
