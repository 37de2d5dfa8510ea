"""Every SQL statement on the audit log. It only ever grows: nothing here changes or deletes an entry."""

from datetime import datetime

from sqlalchemy import Connection, insert

from bapsang_api.kit.db.columns import table_of
from bapsang_api.moderation.models import AuditEntry

audit_log = table_of(AuditEntry)


def append(connection: Connection, entry: AuditEntry) -> None:
    connection.execute(insert(audit_log), entry.model_dump())


def record(
    connection: Connection, entry_id: str, *, action: str, target_id: str, reason: str | None, now: datetime
) -> None:
    """Append an act of whoever runs the platform, which has no actor and no request."""
    append(connection, AuditEntry(id=entry_id, action=action, target_id=target_id, reason=reason, created_at=now))
