"""An entry of the read model, and the ages that say when to ask MySQL again.

Whether an entry is right is decided by the change feed alone: nothing that it shows has changed since the entry was read. An age
is counted from the last moment at which that is known, and never makes an entry right; it only says when to ask again.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SOFT_SECONDS: Final = 0.7  # served as it is until then
HARD_SECONDS: Final = 1.4  # served while it is revalidated until then; from then on revalidated before it is served
# Served for so long while MySQL does not answer: nothing can change in it either.
OUTAGE_SECONDS: Final = 300.0
# Revalidated after this long whatever the feed says, because a transaction may take longer to commit than the feed looks back.
REREAD_SECONDS: Final = 60.0
EXPIRED: Final = float("-inf")  # `current_at` of an entry that must be read before it is served


@dataclass(frozen=True)
class Bounds:
    """The most that one cache keeps: entries, and their bytes, because clients decide how large an entry is."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class Usage:
    """What one cache keeps now."""

    entries: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Loaded(Generic[V]):
    """What was read for a key.

    `names` are those of the rows it shows besides the key's own: a change of one makes the entry stale. `size` is its part in the
    bytes that depend on clients.
    """

    value: V
    names: tuple[str, ...]
    size: int


@dataclass(slots=True, eq=False)
class Entry(Generic[K, V]):
    """A value as MySQL had it. Times are seconds of the monotonic clock, from before the read began."""

    key: K
    value: V
    names: tuple[str, ...]
    size: int
    read_at: float
    current_at: float  # the last moment at which it is known to be right, unless the feed knows a later one
    followed: bool  # no change has been reported since it was read, so it is as current as the feed's position
    from_replica: bool = False

    def stop_following(self, current_at: float) -> None:
        """Note that the entry was right until then at the latest; EXPIRED: that it must not be served again."""
        if self.followed:
            self.current_at = max(self.current_at, current_at)
            self.followed = False
        if current_at == EXPIRED:
            self.current_at = EXPIRED
