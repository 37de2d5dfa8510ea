"""Prewarmed: a window of spec.prewarm is open, and the live autoscaler has the floor that it asks for. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.planning.prewarm import Opening
from bapsang_operator.resource import Community, Window


def condition(community: Community, windows: list[Opening], live_floor: int | None) -> Condition:
    """Return the condition. `live_floor`: the fewest burst pods that the live autoscaler allows; None without one."""
    wanted = of_windows(community, windows)
    floor = community.api.burst.min_replicas
    if wanted.status != "True" or (live_floor is not None and live_floor >= floor):
        return wanted
    has = "no autoscaler" if live_floor is None else f"a floor of {live_floor} pods"
    opened = wanted.message.partition("Open: ")[2]
    text = f"The burst tier has {has} instead of a floor of {floor}: see Progressing. Open: {opened}"
    return Condition("False", Reason.FLOOR_NOT_RAISED, text)


def of_windows(community: Community, windows: list[Opening]) -> Condition:
    """Tell which windows are open, what they raise the floor to and until when; else which one opens next."""
    if community.hibernate and community.prewarm:
        return Condition("False", Reason.NO_WINDOW_OPEN, "spec.hibernate is set: no window opens.")
    found = [opening for opening in windows if opening.is_open]
    if found:
        listed = "; ".join(f'"{opening.window.name}" {_until(opening)}' for opening in found)
        floor = community.api.burst.min_replicas
        return Condition(
            "True", Reason.WINDOW_OPEN, f"The burst tier has at least {floor} pods. Open: window {listed}."
        )
    following = [(opening.starts, opening.window) for opening in windows if opening.starts is not None]
    if not following:
        return Condition("False", Reason.NO_WINDOW_OPEN, "No window is open, and none will open.")
    starts, window = min(following, key=lambda pair: pair[0])
    text = f'No window is open. Next: "{window.name}" at {_local(starts, window)}, {window.replicas} pods.'
    return Condition("False", Reason.NO_WINDOW_OPEN, text)


def _until(opening: Opening) -> str:
    if opening.until is None:
        return "without an end, since it opens again before it closes"
    return f"until {_local(opening.until, opening.window)}"


def _local(moment: datetime, window: Window) -> str:
    return moment.astimezone(ZoneInfo(window.time_zone)).isoformat(timespec="minutes")
