"""Withdrawn accounts, devices of a login, audit log."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0002"
down_revision: str | None = "0001"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

# Nullable, all of them: the image before this one goes on inserting rows without them while the rollout lasts.
_COLUMNS: Final[tuple[tuple[str, str, Any], ...]] = (
    ("user_auth", "withdrawn_email_hash", ascii_text(64)),
    ("user_auth", "withdrawn_at", UtcDateTime()),
    ("auth_sessions", "last_used_at", UtcDateTime()),
    ("auth_sessions", "user_agent", ascii_text(255)),
)
_INDEXES: Final = (
    ("ix_user_auth_withdrawn_email", "user_auth", ["withdrawn_email_hash"]),
    ("ix_user_auth_withdrawn_at", "user_auth", ["withdrawn_at"]),
    ("ix_auth_sessions_last_used", "auth_sessions", ["last_used_at"]),
    ("ix_audit_log_target", "audit_log", ["target_id", "id"]),
)


def upgrade() -> None:
    """Add what is missing: MySQL commits each statement by itself, so a run that died halfway has left some of it."""
    op.create_table(
        "audit_log",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("actor_id", ulid()),
        sa.Column("action", ascii_text(32), nullable=False),
        sa.Column("target_id", ulid(), nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("request_id", ascii_text(64)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
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
    op.drop_table("audit_log")
