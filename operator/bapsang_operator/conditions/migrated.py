"""Migrated: the migration Job of the image and its database has completed. Pure."""

from __future__ import annotations

from bapsang_operator.conditions.condition import Condition
from bapsang_operator.names import Reason
from bapsang_operator.planning.progress import MigrationState


def condition(job: str, state: MigrationState) -> Condition:
    """Return the condition. `job`: name of the migration Job."""
    match state:
        case MigrationState.SUCCEEDED:
            return Condition("True", Reason.MIGRATION_SUCCEEDED, f"Job {job} has migrated the database.")
        case MigrationState.FAILED:
            return Condition("False", Reason.MIGRATION_FAILED, f"Job {job} failed: see Degraded.")
        case MigrationState.RUNNING:
            return Condition("False", Reason.MIGRATION_RUNNING, f"Job {job} is migrating the database.")
        case MigrationState.PENDING:
            return Condition("False", Reason.MIGRATION_PENDING, f"Job {job} has no pod yet.")
