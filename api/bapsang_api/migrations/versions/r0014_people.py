"""Whom somebody follows, whom they do not see, and the posts that they keep."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, ulid

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEXES: Final = (
    ("ix_follows_follower", "follows", ["follower_id", "created_at", "followed_id"]),
    ("ix_follows_followed", "follows", ["followed_id", "created_at", "follower_id"]),
    ("ix_hidden_people_hidden", "hidden_people", ["hidden_id"]),
    ("ix_hidden_people_listed", "hidden_people", ["viewer_id", "reason", "created_at", "hidden_id"]),
    ("ix_bookmarks_user", "bookmarks", ["user_id", "created_at", "post_id"]),
    ("ix_bookmarks_post", "bookmarks", ["post_id"]),
    # The newest visible posts of one author, in order: the home feed merges those of all that somebody follows.
    ("ix_posts_author", "posts", ["user_id", "post_status", "created_at", "id"]),
)
# Counts the changes of whom somebody hides: with it the row's time of change moves, which the change feed polls. And how
# many follow somebody.
_COUNTERS: Final = ("people_version", "follower_count")


def upgrade() -> None:
    op.create_table(
        "follows",
        sa.Column("follower_id", ulid(), sa.ForeignKey("users.id", name="fk_follows_follower"), primary_key=True),
        sa.Column("followed_id", ulid(), sa.ForeignKey("users.id", name="fk_follows_followed"), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "hidden_people",
        sa.Column("viewer_id", ulid(), sa.ForeignKey("users.id", name="fk_hidden_people_viewer"), primary_key=True),
        sa.Column("hidden_id", ulid(), sa.ForeignKey("users.id", name="fk_hidden_people_hidden"), primary_key=True),
        sa.Column("reason", ascii_text(12), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "bookmarks",
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_bookmarks_user"), primary_key=True),
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_bookmarks_post"), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    inspector = sa.inspect(op.get_bind())
    known = {column["name"] for column in inspector.get_columns("users")}
    for name in _COUNTERS:
        if name not in known:
            op.add_column("users", sa.Column(name, sa.Integer(), nullable=False, server_default=sa.text("0")))
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)


def downgrade() -> None:
    op.drop_index("ix_posts_author", "posts")
    for name in _COUNTERS:
        op.drop_column("users", name)
    for table in ("bookmarks", "hidden_people", "follows"):
        op.drop_table(table)
