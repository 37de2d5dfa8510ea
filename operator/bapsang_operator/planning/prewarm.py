"""Which windows are open at a given time, and how many burst pods they ask for. Pure: the clock is an argument.

A window opens by the wall clock of its time zone and stays open for its duration in real time, also over the hour that
summer time skips or repeats. A start within the skipped hour happens right after it; one within the repeated hour
happens once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from bapsang_operator.resource import Community, Window

_WORDS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
#: Starts that are looked at to find the end of windows that run into each other.
_STARTS: Final = 64


@dataclass(frozen=True)
class Opening:
    """One window at a given time. `until` is its end while it is open (None: it opens again before it ends, and so on);
    `starts` is when it opens next while it is shut (None: never)."""

    window: Window
    until: datetime | None = None
    starts: datetime | None = None
    is_open: bool = False


def openings(community: Community, now: datetime) -> list[Opening]:
    """Return every window as it is at `now`. Those that cannot be followed are left out; see `unusable`."""
    return [_opening(window, now) for window in community.prewarm if _fault(window, now) is None]


def unusable(community: Community, now: datetime) -> list[str]:
    """Return a sentence for each window that never opens because of what it says."""
    return [fault for window in community.prewarm if (fault := _fault(window, now)) is not None]


def with_windows(community: Community, now: datetime) -> Community:
    """Return the Community with the floor of its burst tier raised to what the open windows ask for."""
    api = community.api
    asked = [opening.window.replicas for opening in openings(community, now) if opening.is_open]
    floor = min(api.burst.max_replicas, max([api.burst.min_replicas, *asked]))
    return replace(community, api=replace(api, burst=replace(api.burst, min_replicas=floor)))


def next_change(community: Community, now: datetime) -> datetime | None:
    """Return when a window opens or closes next; None when none ever does, or not for as long as anybody can tell."""
    moments = [moment for opening in openings(community, now) if (moment := opening.until or opening.starts)]
    return min(moments, default=None)


def _opening(window: Window, now: datetime) -> Opening:
    length = timedelta(minutes=window.minutes)
    starts = list(islice(_starts(window, now - length), _STARTS))
    begun = [start for start in starts if start <= now]
    if not begun:
        return Opening(window, starts=starts[0] if starts else None)
    # Windows that run into each other are one: it ends where no later start lies within it.
    rest = starts[len(begun) - 1 :]
    last = next((start for start, following in pairwise(rest) if following > start + length), None)
    if last is None and len(starts) < _STARTS:
        last = rest[-1]
    return Opening(window, until=last + length if last is not None else None, is_open=True)


def _starts(window: Window, after: datetime) -> Iterator[datetime]:
    """Yield, in UTC, the starts that are later than `after`."""
    if window.at is not None:
        at = datetime.fromisoformat(window.at).astimezone(UTC)
        if at > after:
            yield at
        return
    try:
        for start in _cron(window, after):
            found = start.astimezone(UTC)
            # A start that the skipped hour moved may lie before `after`.
            if found > after:
                yield found
    except RuntimeError:
        # How a generator ends when CronSim finds no date in fifty years.
        return


def _cron(window: Window, after: datetime) -> CronSim:
    schedule = window.schedule or ""
    return CronSim(_WORDS.get(schedule, schedule), after.astimezone(ZoneInfo(window.time_zone)))


def _fault(window: Window, now: datetime) -> str | None:
    if window.at is not None:
        return None
    try:
        _cron(window, now)
    except CronSimError as error:
        return f'window "{window.name}" never opens: schedule "{window.schedule}" ({error})'
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return f'window "{window.name}" never opens: time zone "{window.time_zone}" is not known here'
    return None
