"""What keeps the autoscalers from scaling, as their own conditions tell it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Final

from bapsang_operator import names
from bapsang_operator.kinds import SCALED_OBJECT
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Reason
from bapsang_operator.planning.progress import Tier
from bapsang_operator.problem import Problem, shorten
from bapsang_operator.resource import Community

#: Metrics of new pods take a minute, and a controller that starts anew finds none at first.
TOLD_AFTER: Final = timedelta(minutes=3)
#: Two autoscalers count the same pods: neither will scale until one is gone.
_AMBIGUOUS: Final = "AmbiguousSelector"
#: The tier sleeps: no pods, by `spec.hibernate`.
_ASLEEP: Final = "ScalingDisabled"


def failures(
    community: Community, burst: Tier, media: Tier | None, live: Mapping[Key, Manifest], now: datetime
) -> list[Problem]:
    """Return a problem for each autoscaler that does not scale, with the words of its controller. While no pod that it
    scales is available nothing can be measured, and another problem names the cause."""
    available = {
        names.api_burst(community.name): burst.available,
        names.media(community.name): media.available if media is not None else 0,
    }
    return [
        _problem(community, key, condition)
        for key, condition in _failing(community, live)
        if condition.get("reason") == _AMBIGUOUS or (available[key.name] and _lasts(condition, now))
    ]


def is_failing(community: Community, live: Mapping[Key, Manifest]) -> bool:
    """Tell whether an autoscaler does not scale now, be it for a moment: it has to be looked at again."""
    return any(True for _ in _failing(community, live))


def _failing(community: Community, live: Mapping[Key, Manifest]) -> Iterator[tuple[Key, Manifest]]:
    if community.hibernate:
        return
    burst, media = names.api_burst(community.name), names.media(community.name)
    for kind, name, types in (
        ("HorizontalPodAutoscaler", burst, ("AbleToScale", "ScalingActive")),
        (SCALED_OBJECT.name, burst, ("Ready",)),
        ("HorizontalPodAutoscaler", media, ("AbleToScale", "ScalingActive")),
    ):
        key = Key(kind, community.namespace, name)
        found = live.get(key, {})
        for condition in found.get("status", {}).get("conditions") or ():
            if condition["type"] in types and condition["status"] == "False" and condition.get("reason") != _ASLEEP:
                yield key, condition


def _lasts(condition: Manifest, now: datetime) -> bool:
    since = condition.get("lastTransitionTime")
    return since is None or now - datetime.fromisoformat(since) >= TOLD_AFTER


def _problem(community: Community, key: Key, condition: Manifest) -> Problem:
    reason, message = condition.get("reason", ""), str(condition.get("message", ""))
    # The controller names the autoscalers in another order each time: the status would be written at each round.
    listed = re.search(r"\[(.*)\]$", message) if reason == _AMBIGUOUS else None
    if listed is not None:
        message = f"{message[: listed.start()]}{', '.join(sorted(listed[1].split()))}. Delete all but this one"
    elif reason.startswith("FailedGet") and "metrics" in message:
        message = f"{message}. See that metrics-server runs: kubectl top pods"
    scaled = "the burst tier" if key.name == names.api_burst(community.name) else "the photo workers"
    return Problem(
        Reason.AUTOSCALER_FAILED,
        f"{key} does not scale {scaled} ({reason}): {shorten(message).removesuffix('.')}.",
    )
