"""Accounts, login sessions, posts and likes."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, caseless, long_text, short_bytes, ulid

revision: str = "0001"
down_revision: str | None = None
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None


def upgrade() -> None:
    _create(
        "users",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("nickname", caseless(10), nullable=False),
        sa.Column("profile_image_key", ascii_text(255)),
        sa.Column("user_role", ascii_text(16), nullable=False),
        sa.Column("user_status", ascii_text(16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
        sa.Index("uq_users_nickname", "nickname", unique=True),
    )
    _create(
        "user_auth",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_user_auth_user"), nullable=False),
        sa.Column("password_hash", ascii_text(255)),
        sa.Column("provider", ascii_text(16), nullable=False),
        sa.Column("email", caseless(254), nullable=False),
        sa.Index("uq_user_auth_email", "email", unique=True),
        sa.Index("ix_user_auth_user", "user_id"),
    )
    _create(
        "auth_sessions",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_auth_sessions_user"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime()),
        sa.Index("ix_auth_sessions_user", "user_id"),
    )
    _create(
        "refresh_tokens",
        sa.Column("token_hash", ascii_text(64), primary_key=True),
        sa.Column(
            "session_id", ulid(), sa.ForeignKey("auth_sessions.id", name="fk_refresh_tokens_session"), nullable=False
        ),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("rotated_at", UtcDateTime()),
        sa.Column("sealed_successor", short_bytes(255)),
        sa.Index("ix_refresh_tokens_session", "session_id", "rotated_at"),
    )
    _create(
        "posts",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_posts_user"), nullable=False),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
        sa.Column("view_count", sa.Integer(), nullable=False),
        sa.Column("like_count", sa.Integer(), nullable=False),
        sa.Column("comment_count", sa.Integer(), nullable=False),
        sa.Column("post_status", ascii_text(16), nullable=False),
        sa.Index("ix_posts_feed", "post_status", "created_at", "id"),
        sa.Index("ix_posts_user", "user_id", "created_at"),
    )
    _create(
        "post_contents",
        sa.Column("id", ulid(), sa.ForeignKey("posts.id", name="fk_post_contents_post"), primary_key=True),
        sa.Column("content", long_text(), nullable=False),
        sa.Column("post_image_key", ascii_text(255)),
    )
    _create(
        "user_post_likes",
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_user_post_likes_post"), primary_key=True),
        sa.Column("user_id", ulid(), sa.ForeignKey("users.id", name="fk_user_post_likes_user"), primary_key=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Index("ix_user_post_likes_user", "user_id", "created_at"),
    )


def downgrade() -> None:
    for table in ("user_post_likes", "post_contents", "posts", "refresh_tokens", "auth_sessions", "user_auth", "users"):
        op.drop_table(table)


def _create(name: str, *items: sa.Column[Any] | sa.Index) -> None:
    """Create a table and its indexes, whichever are missing.

    MySQL commits each statement by itself, so a run that died halfway has left some of them; the next one goes on there.
    """
    op.create_table(name, *(item for item in items if isinstance(item, sa.Column)), if_not_exists=True, **TABLE_OPTIONS)
    present = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(name)}
    for index in items:
        if isinstance(index, sa.Index) and index.name not in present:
            op.create_index(index.name, name, list(index.expressions), unique=index.unique)
