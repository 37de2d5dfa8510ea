"""What keeps the autoscaler of the burst tier from scaling, as its own conditions tell it. Pure."""

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


def failures(community: Community, burst: Tier, live: Mapping[Key, Manifest], now: datetime) -> list[Problem]:
    """Return a problem for each autoscaler that does not scale, with the words of its controller. While no burst pod is
    available nothing can be measured, and another problem names the cause."""
    return [
        _problem(kind, names.api_burst(community.name), condition)
        for kind, condition in _failing(community, live)
        if condition.get("reason") == _AMBIGUOUS or (burst.available and _lasts(condition, now))
    ]


def is_failing(community: Community, live: Mapping[Key, Manifest]) -> bool:
    """Tell whether an autoscaler does not scale now, be it for a moment: it has to be looked at again."""
    return any(True for _ in _failing(community, live))


def _failing(community: Community, live: Mapping[Key, Manifest]) -> Iterator[tuple[str, Manifest]]:
    if community.hibernate:
        return
    for kind, types in (
        ("HorizontalPodAutoscaler", ("AbleToScale", "ScalingActive")),
        (SCALED_OBJECT.name, ("Ready",)),
    ):
        found = live.get(Key(kind, community.namespace, names.api_burst(community.name)), {})
        for condition in found.get("status", {}).get("conditions") or ():
            if condition["type"] in types and condition["status"] == "False" and condition.get("reason") != _ASLEEP:
                yield kind, condition


def _lasts(condition: Manifest, now: datetime) -> bool:
    since = condition.get("lastTransitionTime")
    return since is None or now - datetime.fromisoformat(since) >= TOLD_AFTER


def _problem(kind: str, name: str, condition: Manifest) -> Problem:
    reason, message = condition.get("reason", ""), str(condition.get("message", ""))
    # The controller names the autoscalers in another order each time: the status would be written at each round.
    listed = re.search(r"\[(.*)\]$", message) if reason == _AMBIGUOUS else None
    if listed is not None:
        message = f"{message[: listed.start()]}{', '.join(sorted(listed[1].split()))}. Delete all but this one"
    elif reason.startswith("FailedGet") and "metrics" in message:
        message = f"{message}. See that metrics-server runs: kubectl top pods"
    return Problem(
        Reason.AUTOSCALER_FAILED,
        f"{kind} {name} does not scale the burst tier ({reason}): {shorten(message).removesuffix('.')}.",
    )
