"""Use cases of reports: what users do. What becomes of a report is decided by administrators (`moderation`)."""

from sqlalchemy import Connection

from bapsang_api.comments import store as comments
from bapsang_api.comments.models import STATUS_ACTIVE
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Forbidden, NotFound
from bapsang_api.posts import store as posts
from bapsang_api.reports import store
from bapsang_api.reports.models import Report
from bapsang_api.reports.vocabulary import Reason, TargetKind


class ReportService:
    """Takes reports."""

    def __init__(self, database: Database, clock: Clock, ids: Ids) -> None:
        self._database, self._clock, self._ids = database, clock, ids

    async def report(
        self, post_id: str, comment_id: str | None, *, user_id: str, reason: Reason, detail: str | None
    ) -> None:
        """Report a post, or a comment on it; again changes nothing. Raises NotFound, and Forbidden for one's own."""
        report_id, now = self._ids.new(), self._clock.now()
        kind, target_id = (TargetKind.POST, post_id) if comment_id is None else (TargetKind.COMMENT, comment_id)

        def add(connection: Connection) -> None:
            # Locks the post: the same report that comes twice at once waits for itself.
            author_id = posts.lock(connection, post_id) if is_ulid(post_id) else None
            if author_id is not None and comment_id is not None:
                author_id = _author_of_comment(connection, post_id, comment_id)
            if author_id is None:
                raise NotFound
            if author_id == user_id:
                raise Forbidden
            if store.reported(connection, user_id, target_id):
                return
            store.add(
                connection,
                Report(
                    id=report_id,
                    reporter_id=user_id,
                    target_kind=kind,
                    target_id=target_id,
                    post_id=post_id,
                    reason=reason,
                    detail=detail,
                    created_at=now,
                ),
            )

        await self._database.write(add)


def _author_of_comment(connection: Connection, post_id: str, comment_id: str) -> str | None:
    """Return the author of a comment that can be read below that post, None without one."""
    node = comments.node(connection, comment_id) if is_ulid(comment_id) else None
    if node is None or node.post_id != post_id or node.status != STATUS_ACTIVE:
        return None
    return node.user_id
