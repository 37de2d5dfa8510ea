"""Tables of exports and of the journal of erasures."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Column, ForeignKey, Index, Integer, UniqueConstraint
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid


class Extent(StrEnum):
    """How much of a person goes: the name by a withdrawal, every trace of it, or all that they wrote as well."""

    NAME = "NAME"
    TRACES = "TRACES"
    WORDS = "WORDS"


class Export(SQLModel, table=True):
    """The one export of a user's data that there is, asked for at `created_at`; its file is there since `ready_at`."""

    __tablename__: ClassVar[str] = "exports"
    __table_args__ = (UniqueConstraint("user_id", name="uq_exports_user"), TABLE_OPTIONS)

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), ForeignKey("users.id", name="fk_exports_user"), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    ready_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    size: int | None = Field(default=None, sa_column=Column(Integer()))  # bytes


class Erasure(SQLModel, table=True):
    """Somebody who has withdrawn or was erased. Written to the bucket as well (`journaled_at`), which a backup of this
    database does not set back. No foreign key: it outlives everything."""

    __tablename__: ClassVar[str] = "erasures"
    __table_args__ = (Index("ix_erasures_journaled", "journaled_at", "id"), TABLE_OPTIONS)

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), nullable=False))
    extent: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    journaled_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
