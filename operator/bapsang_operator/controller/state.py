"""What one pass hands from step to step: what it has read, and what it has written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from bapsang_operator.controller.executor import Outcome
from bapsang_operator.informer.routes import Outlook
from bapsang_operator.informer.store import CommunityKey
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.planning.hosts import Claim
from bapsang_operator.planning.plan import Plan
from bapsang_operator.planning.progress import Progress
from bapsang_operator.resource import Community
from bapsang_operator.unwatched.scaled_object import ScaledObject
from bapsang_operator.unwatched.secrets import EnsuredSecrets


@dataclass(frozen=True)
class Basis:
    """All that a pass decides from: a Community that has settled is skipped while it stays the same. Prices, which a
    status may show, are those of a day."""

    revision: int
    secrets: EnsuredSecrets
    obstacle: str
    day: date
    holder: Claim | None
    outlook: Outlook


@dataclass(frozen=True)
class Inputs:
    """What a pass has read. `holder`: who keeps the Community from its host; None when it may have it. `outlook`:
    whether HTTPRoutes can be made."""

    key: CommunityKey
    resource: Manifest
    community: Community
    secrets: EnsuredSecrets
    keda: ScaledObject
    holder: Claim | None
    outlook: Outlook
    basis: Basis

    @property
    def status(self) -> Manifest:
        """The status before this pass."""
        found: Manifest = self.resource.get("status", {})
        return found


@dataclass(frozen=True)
class Written:
    """What a pass has written, and what is live after it."""

    plan: Plan
    outcome: Outcome
    progress: Progress
    live: dict[Key, Manifest]
