"""Users' numbers, which stand for their ids in Redis."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, ulid

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    """Empty: numbers are given at the first need, so the image before this one may go on adding users without them."""
    op.create_table(
        "user_numbers",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_user_numbers_user"), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    # By name: until this one exists, MySQL keeps an index of its own for the foreign key.
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("user_numbers")}
    if "uq_user_numbers_user" not in present:
        op.create_index("uq_user_numbers_user", "user_numbers", ["user_id"], unique=True)


def downgrade() -> None:
    op.drop_table("user_numbers")
