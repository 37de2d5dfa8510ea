"""The operator's writes by the apiserver's audit log, from a mark on, so that a look costs nothing for what lies before."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.integration.operator.controlplane import ControlPlane

from bapsang_operator.kinds import LEASE

_VERBS = frozenset({"create", "update", "patch", "delete"})


@dataclass(frozen=True)
class Write:
    """One request that changed something; `answered` in seconds since 1970."""

    verb: str
    resource: str
    name: str | None
    answered: float


class Audit:
    """Looks into the audit log."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    def mark(self) -> int:
        """Return a place in the log: everything after it is new."""
        return len(self._plane.audited())

    def writes(self, mark: int, namespace: str | None = None) -> list[Write]:
        """Return the writes after a mark, those to the lease aside."""
        return [
            _write(event)
            for event in self._plane.audited()[mark:]
            if event["verb"] in _VERBS
            and event["objectRef"]["resource"] != LEASE.plural
            and namespace in (None, event["objectRef"].get("namespace"))
        ]


def _write(event: dict[str, Any]) -> Write:
    what = event["objectRef"]
    answered = datetime.fromisoformat(event["stageTimestamp"]).timestamp()
    return Write(event["verb"], what["resource"], what.get("name"), answered)
