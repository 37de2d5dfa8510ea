"""An index of login sessions by when they were revoked, for processes that start while Redis has forgotten which are."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: Sequence[str] | None = None
depends_on: Sequence[str] | None = None

_INDEX: Final = "ix_auth_sessions_revoked"


def upgrade() -> None:
    """Build it in place, while the table is read and written."""
    if _INDEX not in {known["name"] for known in sa.inspect(op.get_bind()).get_indexes("auth_sessions")}:
        op.create_index(_INDEX, "auth_sessions", ["revoked_at"])


def downgrade() -> None:
    op.drop_index(_INDEX, "auth_sessions")
