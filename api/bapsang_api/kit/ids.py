"""ULIDs: 26 characters of Crockford base 32, upper case, sortable by the time they were made."""

import re
from datetime import datetime
from typing import Final

from ulid import ULID

from bapsang_api.kit.clock import Clock

# The first character holds only 3 bits: a higher one would not fit in 128 bits.
PATTERN: Final = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
_ULID: Final = re.compile(PATTERN, re.ASCII)


class Ids:
    """Makes ids from an injected clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def new(self) -> str:
        return str(ULID.from_datetime(self._clock.now()))


def first_id(moment: datetime) -> str:
    """Return the lowest id that can be made at a moment: those made before it are lower."""
    return str(ULID.from_bytes(int(moment.timestamp() * 1000).to_bytes(6, "big") + bytes(10)))


def is_ulid(text: str) -> bool:
    return _ULID.fullmatch(text) is not None
