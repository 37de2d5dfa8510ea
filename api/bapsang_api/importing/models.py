"""Tables of an import: which rows of the older server were taken, and how far a run is."""

from datetime import datetime
from typing import ClassVar, Final

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, long_text, ulid

USER: Final = "user"
LOGIN: Final = "login"
POST: Final = "post"
COMMENT: Final = "comment"
#: The state of a post whose comments and likes are not all there yet: nobody sees it, likes it or comments on it.
STATUS_MOVING: Final = "MOVING"
LONGEST_ID: Final = 64


class ImportedId(SQLModel, table=True):
    """A row of the older server that was taken, by its id there. The row stays when its user or post goes: what was taken
    once is not taken again."""

    __tablename__: ClassVar[str] = "imported_ids"
    __table_args__ = (Index("ix_imported_ids_due", "due_status", "kind", "old_id"), TABLE_OPTIONS)

    kind: str = Field(sa_column=Column(ascii_text(8), primary_key=True))
    old_id: str = Field(sa_column=Column(ascii_text(LONGEST_ID), primary_key=True))
    new_id: str = Field(sa_column=Column(ulid(), nullable=False))
    # Of a post that is MOVING: what it becomes once all that belongs to it is there.
    due_status: str | None = Field(default=None, sa_column=Column(ascii_text(16)))


class ImportedLike(SQLModel, table=True):
    """A like of the older server that was taken, by ids of ours. One that was taken back here since must not come again.

    No foreign keys: it outlives the like, and may outlive both that it names."""

    __tablename__: ClassVar[str] = "imported_likes"
    __table_args__ = (TABLE_OPTIONS,)

    post_id: str = Field(sa_column=Column(ulid(), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), primary_key=True))


class ImportStep(SQLModel, table=True):
    """How far a run is with one table of the older server, written with each batch in its transaction."""

    __tablename__: ClassVar[str] = "import_steps"
    __table_args__ = (TABLE_OPTIONS,)

    name: str = Field(sa_column=Column(ascii_text(16), primary_key=True))
    # Tells the older server from any other, whose ids would mean other rows.
    source: str = Field(sa_column=Column(ascii_text(32), nullable=False))
    started_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    done_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # JSON: the key of the last row that was looked at, and what became of the rows up to it.
    state: str = Field(sa_column=Column(long_text(), nullable=False))
