"""When posts and accounts were last changed, by whatever, so that one look finds all that did."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import UtcDateTime

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = {"posts": "ix_posts_changed", "users": "ix_users_changed"}
# MySQL sets it by itself, for the image before this one and for changes made by hand as well.
_ITSELF: Final = "CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6)"


def upgrade() -> None:
    """Add what is missing. The column is added to the table's description alone (ALGORITHM=INSTANT), the index is built in
    place while the table is read and written."""
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    default = sa.text(_ITSELF) if connection.dialect.name == "mysql" else None
    for table, index in _INDEXES.items():
        if "changed_at" not in {column["name"] for column in inspector.get_columns(table)}:
            op.add_column(table, sa.Column("changed_at", UtcDateTime(), server_default=default))
        if index not in {known["name"] for known in inspector.get_indexes(table)}:
            op.create_index(index, table, ["changed_at"])


def downgrade() -> None:
    for table, index in _INDEXES.items():
        op.drop_index(index, table)
        op.drop_column(table, "changed_at")
