"""What moderators need: suspensions, which act hid something, and posts that are held back."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import UtcDateTime, ascii_text, ulid

revision: str = "0016"
down_revision: str | None = "0015"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_COLUMNS: Final = (
    ("users", "suspended_until", UtcDateTime()),
    ("posts", "hidden_by", ulid()),
    ("posts", "held_at", UtcDateTime()),
    ("posts", "held_for", ascii_text(8)),
    ("posts", "text_digest", ascii_text(32)),
    ("comments", "hidden_by", ulid()),
    ("audit_log", "detail", sa.String(255)),
)
_INDEXES: Final = (
    ("ix_users_created", "users", ["created_at", "id"]),
    ("ix_users_suspended", "users", ["suspended_until"]),
    ("ix_audit_log_created", "audit_log", ["created_at", "id"]),
    ("ix_audit_log_actor", "audit_log", ["actor_id", "created_at", "id"]),
)


def upgrade() -> None:
    """Add what is missing: columns to the table's description alone, indexes in place, while all is read and written."""
    inspector = sa.inspect(op.get_bind())
    for table, name, kind in _COLUMNS:
        if name not in {column["name"] for column in inspector.get_columns(table)}:
            op.add_column(table, sa.Column(name, kind))
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    for name, table, _ in _INDEXES:
        op.drop_index(name, table)
    for table, name, _ in _COLUMNS:
        op.drop_column(table, name)
