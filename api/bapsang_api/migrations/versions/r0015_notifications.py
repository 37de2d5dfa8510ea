"""What somebody is told of, in the order in which it was committed, and of what kinds they want to be told."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (
    ("ix_notifications_unread", "notifications", ["user_id", "read_at"]),
    ("ix_notifications_post", "notifications", ["post_id"]),
    ("ix_notifications_actor", "notifications", ["actor_id"]),
    ("ix_notifications_created", "notifications", ["created_at"]),
)


def upgrade() -> None:
    op.create_table(
        "inboxes",
        sa.Column("user_id", ulid(), primary_key=True),
        sa.Column("last_number", sa.Integer(), nullable=False),
        sa.Column("muted_kinds", ascii_text(128), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "notifications",
        sa.Column("user_id", ulid(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("kind", ascii_text(16), nullable=False),
        sa.Column("actor_id", ulid()),
        sa.Column("post_id", ulid()),
        sa.Column("comment_id", ulid()),
        sa.Column("bundle", ascii_text(64), nullable=False),
        sa.Column("detail", sa.String(255)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("read_at", UtcDateTime()),
        sa.UniqueConstraint("user_id", "bundle", name="uq_notifications_bundle"),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    op.drop_table("notifications")
    op.drop_table("inboxes")
