"""Published images, and several of them in a post."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (
    ("ix_images_upload", "images", ["upload_key"]),
    ("ix_images_unused", "images", ["unused_since", "id"]),
    ("ix_post_images_object", "post_images", ["object_key"]),
)


def upgrade() -> None:
    """Add what is missing: MySQL commits each statement by itself, so a run that died halfway has left some of it."""
    op.create_table(
        "images",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("owner_id", ulid(), nullable=False),
        sa.Column("upload_key", ascii_text(255), nullable=False),
        sa.Column("object_key", ascii_text(255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("confirmed_at", UtcDateTime()),
        sa.Column("unused_since", UtcDateTime()),
        sa.Column("collected_at", UtcDateTime()),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "post_images",
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_post_images_post"), primary_key=True),
        sa.Column("position", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("object_key", ascii_text(255), nullable=False),
        sa.Column("alt", sa.String(200)),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    for table in ("post_images", "images"):
        op.drop_table(table)
