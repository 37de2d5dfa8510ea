"""Whether an image has photo workers and mail workers. Pure.

v0.0.1 has none: its API publishes photos by itself, and it sends no mail. Nothing tells the operator what an image can
do, so it lets it try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bapsang_operator import names
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component

#: Exit code of a program that is asked for a command which it does not have. A refused setting ends in the same code, and
#: in a termination message, which wrong usage leaves none of.
_WRONG_USAGE: Final = 2
_WORKERS: Final = (Component.MEDIA, Component.MAIL)


def are_unknown(live: Mapping[Key, Manifest], component: Component) -> bool:
    """Tell whether a worker of a kind has ended because its image does not know the command."""
    return any(
        key.kind == "Pod" and _component(pod) == component and has_unknown_command(pod) for key, pod in live.items()
    )


def has_unknown_command(pod: Manifest) -> bool:
    """Tell whether this pod is a worker whose image does not know the command."""
    component = _component(pod)
    if component not in _WORKERS:
        return False
    ended = (
        container.get(state, {}).get("terminated") or {}
        for container in pod.get("status", {}).get("containerStatuses") or ()
        if container["name"] == component
        for state in ("state", "lastState")
    )
    return any(one.get("exitCode") == _WRONG_USAGE and not one.get("message") for one in ended)


def _component(pod: Manifest) -> str:
    return str(pod["metadata"].get("labels", {}).get(names.LABEL_COMPONENT, ""))
