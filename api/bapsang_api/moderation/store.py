"""Every SQL statement on the audit log. It only ever grows: nothing here changes or deletes an entry."""

from datetime import datetime

from sqlalchemy.orm import Session

from bapsang_api.moderation.models import AuditEntry


def append(session: Session, entry: AuditEntry) -> None:
    session.add(entry)
    session.flush()


def record(session: Session, entry_id: str, *, action: str, target_id: str, reason: str | None, now: datetime) -> None:
    """Append an act of whoever runs the platform, which has no actor and no request."""
    append(session, AuditEntry(id=entry_id, action=action, target_id=target_id, reason=reason, created_at=now))
