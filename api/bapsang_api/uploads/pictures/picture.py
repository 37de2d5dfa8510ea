"""What the cleaners of all formats have in common: their result, their refusals, and reading within bounds."""

from dataclasses import dataclass


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


class Reader:
    """Reads a file from its start; raises NotAPictureError instead of reading past its end."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)
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
