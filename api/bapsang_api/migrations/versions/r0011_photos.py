"""Images are made after they are published: what is known of each, and the queue of those that are to be made."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import UtcDateTime, ascii_text

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_PHOTO_BYTES: Final = 512
_INDEXES: Final = (("ix_images_object", ["object_key"]), ("ix_images_due", ["due_at", "id"]))


def upgrade() -> None:
    """Add columns to the tables' descriptions alone (ALGORITHM=INSTANT), and indexes in place."""
    inspector = sa.inspect(op.get_bind())
    for table, column in _columns():
        if column.name not in {present["name"] for present in inspector.get_columns(table)}:
            op.add_column(table, column)
    for name, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes("images")}:
            op.create_index(name, "images", columns)


def downgrade() -> None:
    for name, _ in _INDEXES:
        op.drop_index(name, "images")
    for table, column in _columns():
        op.drop_column(table, column.name)


def _columns() -> list[tuple[str, "sa.Column[object]"]]:
    return [
        ("images", sa.Column("photo", ascii_text(_PHOTO_BYTES))),
        ("images", sa.Column("etag", ascii_text(64))),
        ("images", sa.Column("due_at", UtcDateTime())),
        ("images", sa.Column("leased_until", UtcDateTime())),
        ("images", sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0"))),
        ("posts", sa.Column("picture_version", sa.Integer(), nullable=False, server_default=sa.text("0"))),
    ]
