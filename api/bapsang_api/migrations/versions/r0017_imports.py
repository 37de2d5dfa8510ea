"""Ids of the older server, its likes that were taken, and how far an import is."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, long_text, ulid

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (("ix_imported_ids_due", "imported_ids", ["due_status", "kind", "old_id"]),)


def upgrade() -> None:
    op.create_table(
        "imported_ids",
        sa.Column("kind", ascii_text(8), primary_key=True),
        sa.Column("old_id", ascii_text(64), primary_key=True),
        sa.Column("new_id", ulid(), nullable=False),
        sa.Column("due_status", ascii_text(16)),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "imported_likes",
        sa.Column("post_id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), primary_key=True),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "import_steps",
        sa.Column("name", ascii_text(16), primary_key=True),
        sa.Column("source", ascii_text(32), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("done_at", UtcDateTime()),
        sa.Column("state", long_text(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    for table in ("import_steps", "imported_likes", "imported_ids"):
        op.drop_table(table)
