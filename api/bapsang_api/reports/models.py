"""Table of reports."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, String, UniqueConstraint
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid
from bapsang_api.reports.vocabulary import ReportStatus


class Report(SQLModel, table=True):
    """One user's report of one post or comment. No foreign key to the target, which is of either kind."""

    __tablename__: ClassVar[str] = "reports"
    __table_args__ = (
        UniqueConstraint("reporter_id", "target_id", name="uq_reports_reporter_target"),
        Index("ix_reports_queue", "report_status", "created_at", "id"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    reporter_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_reports_user"), nullable=False))
    target_kind: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    target_id: str = Field(sa_column=Column(ulid(), nullable=False))
    post_id: str = Field(sa_column=Column(ulid(), ForeignKey("posts.id", name="fk_reports_post"), nullable=False))
    reason: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    detail: str | None = Field(default=None, sa_column=Column(String(500)))
    report_status: str = Field(default=ReportStatus.OPEN, sa_column=Column(ascii_text(16), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    closed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
