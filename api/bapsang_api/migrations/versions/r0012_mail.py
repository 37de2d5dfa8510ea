"""The outbox of mail, and the addresses that take none."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, short_bytes, ulid

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (
    ("ix_mail_outbox_due", "mail_outbox", ["due_at", "id"]),
    ("ix_mail_outbox_user", "mail_outbox", ["user_id", "id"]),
    ("ix_mail_undeliverable_marked", "mail_undeliverable", ["marked_at"]),
)


def upgrade() -> None:
    op.create_table(
        "mail_outbox",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid()),
        sa.Column("letter", ascii_text(24), nullable=False),
        sa.Column("address", ascii_text(254)),
        sa.Column("address_hash", ascii_text(64), nullable=False),
        sa.Column("sealed", short_bytes(2048)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime()),
        sa.Column("leased_until", UtcDateTime()),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("sent_at", UtcDateTime()),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "mail_undeliverable",
        sa.Column("address_hash", ascii_text(64), primary_key=True),
        sa.Column("reason", ascii_text(16), nullable=False),
        sa.Column("marked_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    op.drop_table("mail_undeliverable")
    op.drop_table("mail_outbox")
