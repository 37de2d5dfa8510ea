"""One-time links by which somebody proves that an address is theirs, and whether they have."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_COLUMNS: Final = ("email_verified_at", "verify_by")  # of user_auth
_INDEXES: Final = (
    ("ix_user_auth_verify_by", "user_auth", ["verify_by"]),
    ("ix_account_links_user", "account_links", ["user_id", "kind"]),
    ("ix_account_links_created", "account_links", ["created_at"]),
)


def upgrade() -> None:
    op.create_table(
        "account_links",
        sa.Column("token_hash", ascii_text(64), primary_key=True),
        sa.Column("user_id", ulid(), nullable=False),
        sa.Column("kind", ascii_text(16), nullable=False),
        sa.Column("address", ascii_text(254)),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime()),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    present = {column["name"] for column in inspector.get_columns("user_auth")}
    for name in _COLUMNS:
        if name not in present:
            op.add_column("user_auth", sa.Column(name, UtcDateTime()))
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    op.drop_index("ix_user_auth_verify_by", "user_auth")
    for name in _COLUMNS:
        op.drop_column("user_auth", name)
    op.drop_table("account_links")
