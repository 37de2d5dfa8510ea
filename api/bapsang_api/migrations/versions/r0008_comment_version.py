"""The version of a post's comments, which grows with each change of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Add the column to the table's description alone (ALGORITHM=INSTANT)."""
    if "comment_version" not in {column["name"] for column in sa.inspect(op.get_bind()).get_columns("posts")}:
        column = sa.Column("comment_version", sa.Integer(), nullable=False, server_default=sa.text("0"))
        op.add_column("posts", column)


def downgrade() -> None:
    op.drop_column("posts", "comment_version")
