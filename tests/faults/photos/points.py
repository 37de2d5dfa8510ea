"""The steps of a photo at which a process dies or freezes, and how many times each is still to happen."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .wire import AFTER, BEFORE, HALF

MEDIA, API = "media", "api"
KILLED, CHILD_KILLED, FROZEN = "killed", "child killed", "frozen"
VARIANTS: Final = 4  # of a photo of the harness: 320 and 640 wide, as WebP and as JPEG
_ANY: Final = (BEFORE, HALF, AFTER)


@dataclass(frozen=True)
class Point:
    """A step of a role, seen by its request: which of them (0: any), and the moments of it that will do."""

    role: str
    step: str
    moments: tuple[str, ...]
    number: int = 0


POINTS: Final[Mapping[str, Point]] = {
    "claimed": Point(MEDIA, "claim", (AFTER,)),
    "original read": Point(MEDIA, "get originals", (AFTER,)),
    "decoding": Point(MEDIA, "decode", (AFTER,)),
    "first write": Point(MEDIA, "put public", _ANY, 1),
    "middle write": Point(MEDIA, "put public", _ANY, VARIANTS // 2),
    "last write": Point(MEDIA, "put public", _ANY, VARIANTS),
    "first copy": Point(MEDIA, "copy public", (BEFORE, AFTER), 1),
    "last copy": Point(MEDIA, "copy public", (BEFORE, AFTER), VARIANTS),
    "before commit": Point(MEDIA, "finish", (BEFORE,)),
    "committed": Point(MEDIA, "finish", (AFTER,)),
    "media anywhere": Point(MEDIA, "", ()),
    "row written": Point(API, "copy originals", (BEFORE,)),
    "original kept": Point(API, "copy originals", (AFTER,)),
    "enqueued": Point(API, "enqueue", (AFTER,)),
    "posted": Point(API, "post", (AFTER,)),
    "withheld": Point(API, "copy withheld", (BEFORE, AFTER)),
    "taken down": Point(API, "post ", _ANY),
    "api anywhere": Point(API, "", ()),
}
#: Where a worker stands still until its lease is over, and goes on.
_FREEZES: Final = (
    "claimed",
    "original read",
    "first write",
    "middle write",
    "last write",
    "first copy",
    "before commit",
)


@dataclass(frozen=True)
class Order:
    """An effect at a point, at one moment of it."""

    effect: str
    name: str
    moment: str

    @property
    def point(self) -> Point:
        return POINTS[self.name]

    def fits(self, step: str, moment: str, number: int) -> bool:
        point = self.point
        return (step, moment) == (point.step, self.moment) and point.number in (0, number)


class Schedule:
    """What is still to happen."""

    def __init__(self, kills: int, freezes: int, rng: random.Random) -> None:
        self._rng = rng
        self.is_paused = True
        self.left = Counter({(KILLED, name): kills for name in POINTS} | {(CHILD_KILLED, "decoding"): kills})
        self.left.update({(FROZEN, name): freezes for name in _FREEZES})
        self.done: Counter[tuple[str, str]] = Counter()

    def choose(self, role: str) -> Order | None:
        """Return something that is still to happen to a process of this role."""
        if self.is_paused:
            return None
        fit = {what: left for what, left in self.left.items() if left > 0 and POINTS[what[1]].role == role}
        if not fit:
            return None
        effect, name = self._rng.choices(list(fit), weights=list(fit.values()))[0]
        return Order(effect, name, self._rng.choice(POINTS[name].moments or ("",)))

    def note(self, order: Order) -> None:
        self.left[order.effect, order.name] -= 1
        self.done[order.effect, order.name] += 1

    @property
    def open(self) -> int:
        """How much is still to happen. Some of it may happen once more than it has to."""
        return sum(left for left in self.left.values() if left > 0)
