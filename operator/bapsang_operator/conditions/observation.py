"""Everything that a status is computed from."""

from __future__ import annotations

from dataclasses import dataclass, field

from bapsang_operator.planning.plan import Plan
from bapsang_operator.planning.prewarm import Opening
from bapsang_operator.planning.progress import Progress
from bapsang_operator.planning.route import Parent
from bapsang_operator.problem import Problem
from bapsang_operator.resource import Community


@dataclass(frozen=True)
class Observation:
    """What one pass observed. `like_sync`: whether the last run succeeded, None before one ended. `sees_all`: whether
    Ingresses of all namespaces are known. `parents`: what Gateways make of the HTTPRoute, None where none is wanted."""

    community: Community
    progress: Progress
    plan: Plan
    problems: list[Problem]
    like_sync: bool | None
    windows: list[Opening] = field(default_factory=list)
    sees_all: bool = True
    parents: list[Parent] | None = None
