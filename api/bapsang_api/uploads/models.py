"""Table of published images."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Column, Index, Integer
from sqlmodel import Field, SQLModel

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid
from bapsang_api.uploads.photo import Photo, PhotoColumn


class Image(SQLModel, table=True):
    """An image whose variants are published below `object_key`, or are about to be; the row is also the job that makes them.

    The row is there before the objects, so that no object is ever without one. No foreign key to the owner: the picture
    of a sign-up comes before the account.
    """

    __tablename__: ClassVar[str] = "images"
    __table_args__ = (
        Index("ix_images_upload", "upload_key"),
        Index("ix_images_unused", "unused_since", "id"),
        Index("ix_images_settle", "settle_at", "id"),
        Index("ix_images_object", "object_key"),
        Index("ix_images_due", "due_at", "id"),
        TABLE_OPTIONS,
    )

    id: str = Field(sa_column=Column(ulid(), primary_key=True))
    owner_id: str = Field(sa_column=Column(ulid(), nullable=False))
    upload_key: str = Field(sa_column=Column(ascii_text(255), nullable=False))
    object_key: str = Field(sa_column=Column(ascii_text(255), nullable=False))
    created_at: datetime = Field(sa_column=Column(UtcDateTime(), nullable=False))
    # When it was used for the first time: until then nobody may rely on the object being there.
    confirmed_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Since when nothing refers to it, as far as this table was told; null while something does.
    unused_since: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Set before the object is deleted: from then on it cannot be used again.
    collected_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Since when only hidden posts show it: nobody may load it, nor use it in another post.
    withheld_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # When it was last decided that the object has to go, be withheld or come back; null once that is done.
    settle_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # What is known of it; null for one that was published before there were variants.
    photo: Photo | None = Field(default=None, sa_column=Column(PhotoColumn()))
    # The upload's, as it was copied: variants that were made of the same bytes ahead of time are found by it.
    etag: str | None = Field(default=None, sa_column=Column(ascii_text(64)))
    # When its variants are to be made, or, while somebody makes them, when that is given up; null when there is nothing to do.
    due_at: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    # Until when somebody may write its objects; null when nobody does.
    leased_until: datetime | None = Field(default=None, sa_column=Column(UtcDateTime()))
    attempts: int = Field(default=0, sa_column=Column(Integer(), nullable=False, server_default="0"))
