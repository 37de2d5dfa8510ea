"""Table of exports."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ulid


class Export(SQLModel, table=True):
    """The one export of a user's data that there is, asked for at `created_at`; its file is there since `ready_at`."""

    __tablename__: ClassVar[str] = "exports"
    __table_args__ = (UniqueConstraint("user_id", name="uq_exports_user"), TABLE_OPTIONS)

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_exports_user"), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ready_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    size: int | None = Field(default=None, sa_column=Column(Integer()))  # bytes
