"""Texts that are searched, tags, reports."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

from bapsang_api.kit.db.columns import TABLE_OPTIONS, UtcDateTime, ascii_text, caseless, long_text, ulid

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_FULLTEXT: Final = "ft_post_texts_words"
_INDEXES: Final = (
    ("ix_tags_popular", "tags", ["post_count", "name"]),
    ("ix_post_tags_post", "post_tags", ["post_id"]),
    ("ix_reports_queue", "reports", ["report_status", "created_at", "id"]),
)


def upgrade() -> None:
    """Add what is missing: MySQL commits each statement by itself, so a run that died halfway has left some of it.

    Nothing large is rebuilt, whatever the size of `posts`: its new column is added to the table's description alone
    (ALGORITHM=INSTANT); the index of words is built on a table that is empty (in place,
    which would keep writers out of a full one), and `bapsang-api reindex` fills it afterwards.
    """
    op.create_table(
        "post_texts",
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_post_texts_post"), primary_key=True),
        sa.Column("words", long_text(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "tags",
        sa.Column("name", caseless(20), primary_key=True),
        sa.Column("post_count", sa.Integer(), nullable=False),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "post_tags",
        sa.Column("tag", caseless(20), primary_key=True),
        sa.Column("created_at", UtcDateTime(), primary_key=True),
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_post_tags_post"), primary_key=True),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    op.create_table(
        "reports",
        sa.Column("id", ulid(), primary_key=True),
        sa.Column("reporter_id", ulid(), sa.ForeignKey("users.id", name="fk_reports_user"), nullable=False),
        sa.Column("target_kind", ascii_text(16), nullable=False),
        sa.Column("target_id", ulid(), nullable=False),
        sa.Column("post_id", ulid(), sa.ForeignKey("posts.id", name="fk_reports_post"), nullable=False),
        sa.Column("reason", ascii_text(16), nullable=False),
        sa.Column("detail", sa.String(500)),
        sa.Column("report_status", ascii_text(16), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime()),
        sa.UniqueConstraint("reporter_id", "target_id", name="uq_reports_reporter_target"),
        if_not_exists=True,
        **TABLE_OPTIONS,
    )
    connection = op.get_bind()
    inspector = sa.inspect(connection)
    if "tags" not in {column["name"] for column in inspector.get_columns("posts")}:
        op.add_column("posts", sa.Column("tags", sa.String(209)))
    for name, table, columns in _INDEXES:
        if name not in {index["name"] for index in inspector.get_indexes(table)}:
            op.create_index(name, table, columns)
    present = {index["name"] for index in inspector.get_indexes("post_texts")}
    if connection.dialect.name == "mysql" and _FULLTEXT not in present:
        # The index keeps this choice. Otherwise every pair with an "a" or an "i" in it would be left out as a stop word.
        connection.exec_driver_sql("SET SESSION innodb_ft_enable_stopword = OFF")
        op.create_index(_FULLTEXT, "post_texts", ["words"], mysql_prefix="FULLTEXT", mysql_with_parser="ngram")


def downgrade() -> None:
    op.drop_column("posts", "tags")
    for table in ("reports", "post_tags", "tags", "post_texts"):
        op.drop_table(table)
