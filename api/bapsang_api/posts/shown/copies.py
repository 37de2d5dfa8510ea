"""A copy of a post, most of whose bytes are kept packed.

Packed with what all posts have in common (the names of fields, where pictures are loaded) as its dictionary, the text of a post
takes a quarter, so that twice as many copies fit where they lay open. Unpacking takes some 6 µs, reading the post from the
database 250 times as long; and the few posts that most people read lie open.
"""

import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bapsang_api.posts.shown.bounds import Bounds, Usage
from bapsang_api.posts.shown.store import Picture, PostDetailRow, Standing
from bapsang_api.posts.shown.wire import Parts, detail_bytes, item_bytes

_BETWEEN: Final = b"\0"  # in JSON it is escaped
_WINDOW_BITS: Final = -12  # 4 KiB, and no header: texts are short
_TYPICAL: Final = PostDetailRow(
    *("0", "", datetime(2026, 1, 1, tzinfo=UTC), "", "public/profiles/", "public/posts/", 0, 0, 0, ("",)),
    *(None, "", (Picture("public/posts/", None),)),
)


class Shelf:
    """Where copies keep the bytes of their posts: the latest that were asked for open, all others packed."""

    def __init__(self, render: Callable[[PostDetailRow], Parts], bounds: Bounds) -> None:
        self._bounds = bounds
        self._common = _joined(render(_TYPICAL))
        self._opened: deque[tuple[Copy, int]] = deque()  # each with its bytes
        self._bytes = 0

    def usage(self) -> Usage:
        """Return how much lies open."""
        return Usage(len(self._opened), self._bytes)

    def pack(self, parts: Parts) -> bytes:
        packer = zlib.compressobj(wbits=_WINDOW_BITS, zdict=self._common)
        return packer.compress(_joined(parts)) + packer.flush()

    def open(self, copy: "Copy") -> Parts:
        """Return the parts of a copy's post."""
        if copy.parts is None:
            unpacked = zlib.decompressobj(_WINDOW_BITS, self._common).decompress(copy.packed)
            item, item_end, detail, detail_end = unpacked.split(_BETWEEN)
            parts = copy.parts = Parts((item, item_end), (detail, detail_end))
            self._opened.append((copy, len(unpacked)))
            self._bytes += len(unpacked)
            while len(self._opened) > self._bounds.open_posts or self._bytes > self._bounds.open_bytes:
                # The one that was opened first: a post that many read is soon opened again.
                oldest, size = self._opened.popleft()
                oldest.parts, self._bytes = None, self._bytes - size
            return parts
        return copy.parts


@dataclass(slots=True)
class Copy:
    """A post as it was `checked`, and its likes as they were `counted` (monotonic seconds, before it was asked for)."""

    shelf: Shelf
    packed: bytes
    standing: Standing
    likes: int
    checked: float
    counted: float
    changed: bool = False  # since then
    parts: Parts | None = None  # while it lies open

    def item(self) -> bytes:
        standing = self.standing
        return item_bytes(self.shelf.open(self), self.likes, standing.comment_count, standing.view_count)

    def detail(self, *, is_liked: bool) -> bytes:
        standing = self.standing
        counts = self.likes, standing.comment_count, standing.view_count
        return detail_bytes(self.shelf.open(self), *counts, is_liked=is_liked)


def _joined(parts: Parts) -> bytes:
    return _BETWEEN.join((*parts.item, *parts.detail))
