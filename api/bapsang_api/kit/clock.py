"""Time: where it is read (injected, so that tests can move it) and how it looks on the wire."""

import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Protocol

# Korea has kept +09:00 without summer time since 1988, so a fixed offset is exact for every time this service can
# hold, and the image needs no time zone database.
SEOUL = timezone(timedelta(hours=9), "Asia/Seoul")
_LONGEST: Final = 64  # code points: with fractions of a second in time and offset it is 42


class Clock(Protocol):
    """The source of the current time."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""

    def seconds(self) -> float:
        """Return the same as seconds since 1970, which costs a tenth."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    seconds = staticmethod(time.time)


def to_wire(moment: datetime) -> str:
    """Return an aware time as the local date-time of Seoul without a zone: `2026-11-23T10:10:12.781554`."""
    return moment.astimezone(SEOUL).replace(tzinfo=None).isoformat()


def until_in_words(moment: datetime) -> str:
    """Return an aware time as people in Seoul read it, never before it: `2026년 11월 23일 10:11`."""
    local = (moment + timedelta(seconds=59, microseconds=999_999)).astimezone(SEOUL)
    return f"{local.year}년 {local.month}월 {local.day}일 {local:%H:%M}"


def from_wire(text: str) -> datetime:
    """Return the aware UTC time that a client sent.

    Without a zone it is Seoul time, as in every answer. `Z` and offsets are accepted too, also with the `+` of the
    offset decoded to a space, which is what an unescaped `+` in a query string becomes. Raises ValueError for anything
    else.
    """
    if len(text) > _LONGEST or "T" not in text:
        raise ValueError("not an ISO 8601 date-time")
    moment = datetime.fromisoformat(text.replace(" ", "+"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=SEOUL)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:  # the first and last hours of the calendar have no UTC counterpart
        raise ValueError("out of range") from error
