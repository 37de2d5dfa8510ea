"""`spec.prewarm` of a Community: scaling by the clock instead of by the load."""

from __future__ import annotations

import re
import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from bapsang_operator.resource.core import rule
from bapsang_operator.resource.declare import validations
from bapsang_operator.resource.nodes import CRON_PATTERN, integer, matches, rules, text

_AT_PATTERN: Final = (
    r"^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(Z|[+-](0[0-9]|1[0-3]):(00|30|45))$"
)
_ZONE_PATTERN: Final = r"^(UTC|[A-Z][A-Za-z_]+(/[A-Z][A-Za-z0-9_+-]+)+)$"
_DURATION_PATTERN: Final = r"^([1-9][0-9]{0,3}m|[1-9][0-9]?h)$"
#: A longer window is no peak: raise spec.api.burst.minReplicas instead.
MAX_MINUTES: Final = 24 * 60


def minutes(duration: str) -> int:
    """Return the minutes of a duration such as 90m or 2h."""
    return int(duration[:-1]) * (60 if duration.endswith("h") else 1)


def _matches(pattern: str, value: str) -> bool:
    return re.fullmatch(pattern.replace("^", "").replace("$", ""), value) is not None


def _is_zone(value: Any, _old: Any) -> bool:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _is_moment(value: Any, _old: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


# An impossible date makes the function fail, which counts as a refusal.
_DATE_EXISTS: Final = rule(
    f"!self.matches('{_AT_PATTERN}') || timestamp(self).getFullYear() > 0",
    lambda value, old: not _matches(_AT_PATTERN, value) or _is_moment(value, old),
    "must be a date that exists",
)
_ZONE_EXISTS: Final = rule(
    f"!self.matches('{_ZONE_PATTERN}') || timestamp('2026-01-01T00:00:00Z').getFullYear(self) > 0",
    lambda value, old: not _matches(_ZONE_PATTERN, value) or _is_zone(value, old),
    "must be a time zone that exists",
)
_WITHIN_A_DAY: Final = rule(
    f"!self.matches('{_DURATION_PATTERN}') || duration(self) <= duration('24h')",
    lambda value, _old: not _matches(_DURATION_PATTERN, value) or minutes(value) <= MAX_MINUTES,
    "must be at most 24h",
)


@validations(
    rule(
        "has(self.schedule) != has(self.at)",
        lambda value, _old: ("schedule" in value) != ("at" in value),
        "needs exactly one of schedule and at",
    )
)
@dataclass(frozen=True)
class Window:
    """One window: schedule, for a peak that comes again and again, or at, for a single one."""

    name: Annotated[
        str,
        text(
            "Name of the window, for conditions and events.",
            40,
            **rules(matches(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "must be lower case letters, digits and -")),
        ),
    ]
    schedule: Annotated[
        str | None,
        text(
            "When it opens, as a cron schedule in timeZone. Open it some minutes before the peak: pods need to start.",
            100,
            **rules(
                matches(CRON_PATTERN, "schedule must be five cron fields within their ranges, such as 30 17 * * *")
            ),
        ),
    ]
    at: Annotated[
        str | None,
        text(
            "When it opens, once, such as 2026-11-27T17:30:00+09:00.",
            25,
            **rules(
                matches(_AT_PATTERN, "must be a date, a time and an offset, such as 2026-11-27T17:30:00+09:00"),
                _DATE_EXISTS,
            ),
        ),
    ]
    time_zone: Annotated[
        str,
        text(
            "Time zone of schedule, such as Asia/Seoul. Summer time is followed: 17:30 stays 17:30.",
            64,
            default="UTC",
            **rules(
                matches(_ZONE_PATTERN, "must be UTC or the name of a time zone, such as Asia/Seoul"),
                _ZONE_EXISTS,
            ),
        ),
    ]
    duration: Annotated[
        str,
        text(
            "How long it stays open, such as 90m or 2h; at most 24h.",
            5,
            **rules(
                matches(_DURATION_PATTERN, "must be minutes or hours, such as 90m or 2h"),
                _WITHIN_A_DAY,
            ),
        ),
    ]
    replicas: Annotated[int, integer("Fewest burst pods while it is open.", 1, 1000)]

    @property
    def minutes(self) -> int:
        """For how long it is open."""
        return minutes(self.duration)


#: A rule of the whole spec, since it compares two of its parts.
FITS: Final = rule(
    "self.prewarm.all(w, w.replicas <= self.api.burst.maxReplicas)",
    lambda value, _old: all(
        window["replicas"] <= value["api"]["burst"]["maxReplicas"] for window in value.get("prewarm", ())
    ),
    "replicas of a window must not exceed spec.api.burst.maxReplicas",
    ".prewarm",
)
