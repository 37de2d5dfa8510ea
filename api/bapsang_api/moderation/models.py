"""Table of the audit log."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, String
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid


class AuditEntry(SQLModel, table=True):
    """One act of an administrator. Rows are only ever added.

    No foreign keys: an entry outlives the account and the post it speaks of. `actor_id` is null for the command line.
    """

    __tablename__: ClassVar[str] = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_target", "target_id", "id"),
        Index("ix_audit_log_created", "created_at", "id"),
        Index("ix_audit_log_actor", "actor_id", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    actor_id: str | None = Field(default=None, sa_column=Column(ulid()))
    action: str = Field(sa_column=Column(ascii_text(32), nullable=False))
    target_id: str = Field(sa_column=Column(ulid(), nullable=False))
    reason: str | None = Field(default=None, sa_column=Column(String(500)))
    # What the program says of the act: until when, how many.
    detail: str | None = Field(default=None, sa_column=Column(String(255)))
    request_id: str | None = Field(default=None, sa_column=Column(ascii_text(64)))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
