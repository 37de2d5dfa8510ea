"""How much of posts a process may keep in memory, and how much it does keep."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Bounds:
    """The most that a process keeps: entries, and their bytes, since clients decide how large an entry is."""

    posts: int = 20_000
    posts_bytes: int = 12 * 1024 * 1024  # of what is packed
    open_posts: int = 2_000
    # Authors decide how long posts are, and readers which are opened. Of usual posts it is half of this.
    open_bytes: int = 6 * 1024 * 1024
    pages: int = 500
    # Of their ids and answers. Readers write the keys: any tag, size and place.
    pages_bytes: int = 2 * 1024 * 1024


USUAL: Final = Bounds()


@dataclass(frozen=True)
class Usage:
    """What one cache keeps now."""

    entries: int
    bytes: int
