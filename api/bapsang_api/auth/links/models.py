"""Table of one-time links."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid


class LinkKind(StrEnum):
    """What a link is good for."""

    VERIFY = "VERIFY"
    RESET = "RESET"
    CHANGE_ADDRESS = "CHANGE_ADDRESS"


class AccountLink(SQLModel, table=True):
    """A link that was sent, by the SHA-256 of its token. `address` is the one that it was sent to.

    No foreign key: a request for an address that nobody has leaves a row as well, of an account that does not exist, so that it takes
    as long as any other.
    """

    __tablename__: ClassVar[str] = "account_links"
    __table_args__ = (
        Index("ix_account_links_user", "user_id", "kind"),
        Index("ix_account_links_created", "created_at"),
        TABLE_OPTIONS,
    )

    token_hash: str = Field(sa_column=Column(ascii_text(64), primary_key=True))
    user_id: str = Field(sa_column=Column(ulid(), nullable=False))
    kind: str = Field(sa_column=Column(ascii_text(16), nullable=False))
    address: str | None = Field(default=None, sa_column=Column(ascii_text(254)))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    expires_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    used_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
