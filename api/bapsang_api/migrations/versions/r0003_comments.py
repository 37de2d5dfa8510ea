"""Comments."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (
    ("ix_comments_post", ["post_id", "depth", "listed", "created_at", "comment_id"]),
    ("ix_comments_group", ["comment_group", "listed", "created_at", "comment_id"]),
    ("ix_comments_parent", ["parent_id", "listed"]),
    ("ix_comments_user", ["user_id", "created_at"]),
)


def upgrade() -> None:
    """Add what is missing: MySQL commits each statement by itself, so a run that died halfway has left some of it."""
    op.create_table(
        "comments",
        sa.Column("comment_id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_comments_user"), nullable=False),
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_comments_post"), nullable=False),
        sa.Column("parent_id", ulid(), sa.ForeignKey("comments.comment_id", name="fk_comments_parent")),
        sa.Column("depth", sa.SmallInteger(), nullable=False),
        sa.Column("comment_group", ulid(), nullable=False),
        sa.Column("content", sa.String(2000), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
        sa.Column("comment_status", ascii_text(16), nullable=False),
        sa.Column("listed", sa.Boolean(), nullable=False),
        sa.Column("reply_count", sa.Integer(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("comments")}
    for name, columns in _INDEXES:
        if name not in present:
            op.create_index(name, "comments", columns)


def downgrade() -> None:
    op.drop_table("comments")
