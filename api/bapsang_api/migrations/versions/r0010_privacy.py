"""What the privacy policy promises: takedown of pictures, retention, consent, exports and the journal of erasures."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_COLUMNS: Final = ("withheld_at", "settle_at")  # of images
_INDEXES: Final = (
    ("ix_access_log_user", "access_log", ["user_id", "id"]),
    ("ix_erasures_journaled", "erasures", ["journaled_at", "id"]),
    ("ix_images_settle", "images", ["settle_at", "id"]),
    ("ix_posts_deleted", "posts", ["deleted_at", "id"]),
    ("ix_comments_deleted", "comments", ["deleted_at", "comment_id"]),
)
_TABLES: Final = ("erasures", "exports", "access_log", "user_consents")


def upgrade() -> None:
    """Add what is missing: columns to the table's description alone, indexes in place, while all is read and written."""
    op.create_table(
        "user_consents",
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_user_consents_user"), primary_key=True),
        sa.Column("document", ascii_text(24), primary_key=True),
        sa.Column("version", ascii_text(16)),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "access_log",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), nullable=False),
        sa.Column("act", ascii_text(8), nullable=False),
        sa.Column("address", ascii_text(45), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "exports",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_exports_user"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ready_at", UtcDateTime()),
        sa.Column("size", sa.Integer()),
        sa.UniqueConstraint("user_id", name="uq_exports_user"),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "erasures",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), nullable=False),
        sa.Column("extent", ascii_text(16), nullable=False),
        sa.Column("journaled_at", UtcDateTime()),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    present = {column["name"] for column in inspector.get_columns("images")}
    for name in _COLUMNS:
        if name not in present:
            op.add_column("images", sa.Column(name, UtcDateTime()))
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    for name, table, _ in _INDEXES:
        op.drop_index(name, table)
    for name in _COLUMNS:
        op.drop_column("images", name)
    for table in _TABLES:
        op.drop_table(table)
