"""What the cleaners of all formats have in common: their result, their refusals, reading within bounds, and budgets.

Without budgets the file decides what a check costs, and what its viewers pay later: 10 MiB hold millions of parts, and the
same scan or frame can be repeated thousands of times.
"""

from dataclasses import dataclass
from typing import Final

# Segments, chunks (those within frames too) and entries of EXIF: each costs this process microseconds, whatever is in it.
# 10 MiB of PNG are 1,300 chunks as libpng writes them (8 KiB) and 10,200 at 1 KiB; 10 MiB of JPEG are 160 full segments.
MOST_PARTS: Final = 16_384
# Each scan of a progressive JPEG goes over all pixels: one of 75 bytes takes a viewer 50 ms at 49 million pixels. Encoders
# write up to 10 scans (libjpeg's script for YCbCr), 14 (RGB) or 18 (CMYK).
MOST_SCANS: Final = 32


class NotAPictureError(Exception):
    """The content is not a whole picture of the type it claims; the text says where it goes wrong."""


class TooManyPixelsError(Exception):
    """The picture is larger than anybody should have to open."""


@dataclass(frozen=True)
class Picture:
    """A picture without metadata, ready to be published. `content_type` is the canonical one."""

    content: bytes
    content_type: str
    width: int
    height: int


@dataclass
class Budget:
    """What a file has used up. Each method raises NotAPictureError when it was more than a file may."""

    parts: int = 0
    scans: int = 0
    frames: int = 0  # of an animation; how many there may be depends on the size of the picture

    def part(self) -> None:
        self.parts += 1
        if self.parts > MOST_PARTS:
            raise NotAPictureError(f"it has more than {MOST_PARTS} parts")

    def scan(self) -> None:
        self.scans += 1
        if self.scans > MOST_SCANS:
            raise NotAPictureError(f"it has more than {MOST_SCANS} scans")


class Reader:
    """Reads a file from its start; raises NotAPictureError instead of reading past its end."""

    def __init__(self, content: bytes | memoryview, budget: Budget) -> None:
        self._content = memoryview(content)
        self.budget = budget
        self.position = 0

    @property
    def at_end(self) -> bool:
        return self.position == len(self._content)

    def take(self, length: int) -> memoryview:
        """Return the next `length` bytes without copying them."""
        end = self.position + length
        if end > len(self._content):
            raise NotAPictureError(f"it ends within the part at byte {self.position}")
        part = self._content[self.position : end]
        self.position = end
        return part

    def expect(self, mark: bytes) -> None:
        """Go past `mark`. Raises NotAPictureError when something else is there."""
        if not begins(self.take(len(mark)), mark):
            raise NotAPictureError(f"there is no {mark!r} at byte {self.position - len(mark)}")

    def since(self, start: int) -> memoryview:
        """Return what was read from the position `start` up to now."""
        return self._content[start : self.position]


def begins(part: memoryview, mark: bytes) -> bool:
    return bytes(part[: len(mark)]) == mark


def sized(width: int, height: int) -> tuple[int, int]:
    """Return the size. Raises NotAPictureError when there is nothing to see."""
    if width < 1 or height < 1:
        raise NotAPictureError(f"it is {width} x {height} pixels")
    return width, height
