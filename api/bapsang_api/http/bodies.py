"""What the bodies of requests may take: bytes while they are held, and values when they are read as JSON."""

from collections import Counter
from typing import Final

from starlette.requests import Request

from bapsang_api.kit.problem import FieldError, InvalidInput, TooManyRequests, Unavailable

# Bytes that one process holds of all requests that are not answered yet, and of those of one sender. A post has some ten
# thousand; who sends megabytes slowly shall not use up what the others need.
MOST_HELD: Final = 24 * 1024 * 1024
MOST_OF_ONE: Final = 4 * 1024 * 1024
# Objects and arrays with what is in them. A post with ten images and ten tags has some fifty. A value takes up to some 240 bytes
# of memory, but as little as two of the body: without a limit, a megabyte becomes fifty.
MOST_VALUES: Final = 1_000


class Bodies:
    """Counts the bytes of bodies, by sender."""

    def __init__(self, most: int = MOST_HELD, most_of_one: int = MOST_OF_ONE) -> None:
        self._most, self._most_of_one = most, most_of_one
        self._held: Counter[str] = Counter()
        self._total = 0

    @property
    def held(self) -> int:
        """The bytes of all senders."""
        return self._total

    def hold(self, sender: str, size: int) -> None:
        """Count `size` bytes in. Raises TooManyRequests when the sender has too many, Unavailable when all have."""
        if self._held[sender] + size > self._most_of_one:
            raise TooManyRequests(1)
        if self._total + size > self._most:
            raise Unavailable
        self._held[sender] += size
        self._total += size

    def release(self, sender: str, size: int) -> None:
        """Count bytes out that `hold` counted in."""
        self._total -= size
        self._held[sender] -= size
        if not self._held[sender]:
            del self._held[sender]


class JsonRequest(Request):
    """A request whose body is JSON in UTF-8 (RFC 8259, 8.1) of at most MOST_VALUES values."""

    async def json(self) -> object:
        """Return the body, read. Raises InvalidInput for one with more values, before it is read."""
        body = await self.body()
        # UTF-16 and UTF-32, which the reader would take too, write NUL for half of each bracket.
        if b"\0" in body:
            raise InvalidInput(FieldError("body", "UTF-8로 된 JSON이어야 합니다."))
        if _has_more_values(body, MOST_VALUES):
            raise InvalidInput(FieldError("body", f"값이 {MOST_VALUES}개 이하여야 합니다."))
        return await super().json()


def _has_more_values(body: bytes, most: int) -> bool:
    if _values(body) <= most:
        return False
    # Texts may hold as many commas as they like. What is not within quotes is every second part between them.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # Each value may come with a name: four quotes.
    return bare.count(b'"') > 4 * most or _values(b"".join(bare.split(b'"')[::2])) > most


def _values(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
