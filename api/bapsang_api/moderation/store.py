"""Every SQL statement on the audit log. It only ever grows: nothing here changes or deletes an entry."""

from sqlalchemy.orm import Session

from bapsang_api.moderation.models import AuditEntry


def append(session: Session, entry: AuditEntry) -> None:
    session.add(entry)
    session.flush()
