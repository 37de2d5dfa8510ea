"""Use cases of administrators. Every act and its entry in the audit log are one transaction: there is never one without
the other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from bapsang_api.auth import store as logins
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.comments import service as comments
from bapsang_api.kit.clock import Clock
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.context import current_request_id
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Conflict, Forbidden, NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.moderation import store
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.posts import service as posts
from bapsang_api.reports import store as reports
from bapsang_api.reports.vocabulary import ReportStatus
from bapsang_api.users import store as accounts
from bapsang_api.users.models import ROLE_ADMIN, ROLE_USER, STATUS_ACTIVE, STATUS_BLOCKED, STATUS_DELETED


@dataclass(frozen=True)
class Actor:
    """Who acts, and why. `user_id` is None for the command line, which whoever runs the platform may use."""

    user_id: str | None
    reason: str | None


@dataclass(frozen=True)
class Reports:
    """A page of reports and where the next one goes on, None on the last."""

    rows: list[reports.ReportRow]
    following: Following | None


class ModerationService:
    """What administrators do. Doing it again changes nothing, is recorded again, and makes up for what failed halfway.
    Every method raises Forbidden when the actor is not an administrator, and NotFound."""

    def __init__(
        self, database: Database, revoked: RevokedSessions, likes: LikeService, clock: Clock, ids: Ids
    ) -> None:
        self._database, self._revoked, self._likes = database, revoked, likes
        self._clock, self._ids = clock, ids

    async def block(self, actor: Actor, user_id: str) -> None:
        """Keep a user out: every session ends and no login succeeds. Raises Conflict for the actor's own account."""
        if user_id == actor.user_id:
            raise Conflict("자기 자신은 차단할 수 없습니다.")
        await self._act(actor, "user.block", user_id, partial(self._set_status, user_id, STATUS_BLOCKED))

    async def unblock(self, actor: Actor, user_id: str) -> None:
        """Let a blocked user log in again."""
        await self._act(actor, "user.unblock", user_id, partial(self._set_status, user_id, STATUS_ACTIVE))

    async def grant(self, actor: Actor, user_id: str) -> None:
        """Make a user an administrator, from the next refresh of their token on."""
        await self._act(actor, "role.grant", user_id, partial(self._set_role, user_id, ROLE_ADMIN))

    async def revoke(self, actor: Actor, user_id: str) -> None:
        """Make an administrator an ordinary user. Every session ends, because its tokens still name the role."""
        await self._act(actor, "role.revoke", user_id, partial(self._set_role, user_id, ROLE_USER))

    async def hide(self, actor: Actor, post_id: str) -> None:
        """Take a post and its pictures from sight; it can be shown again, with every like it had."""
        await self._act(actor, "post.hide", post_id, partial(self._set_sight, posts.hide, post_id))
        with after_commit("moderation.likes_not_withheld", post_id=post_id):  # likes of what nobody sees do no harm
            await self._likes.withhold(post_id)

    async def show(self, actor: Actor, post_id: str) -> None:
        """Bring a hidden post back."""
        await self._act(actor, "post.show", post_id, partial(self._set_sight, posts.show, post_id))
        with after_commit("moderation.likes_not_restored", post_id=post_id):  # the next like does
            await self._likes.restore(post_id)

    async def hide_comment(self, actor: Actor, comment_id: str) -> None:
        """Take a comment from sight; it can be shown again. An answered one stays as a place in the tree."""
        await self._act(actor, "comment.hide", comment_id, partial(self._moderate, comments.hide, comment_id))

    async def show_comment(self, actor: Actor, comment_id: str) -> None:
        """Bring a hidden comment back."""
        await self._act(actor, "comment.show", comment_id, partial(self._moderate, comments.show, comment_id))

    async def reports(self, actor: Actor, status: ReportStatus, before: Keyset | None, size: int) -> Reports:
        """Return up to `size` reports in that state, older than `before`, newest first."""

        def read(connection: Connection) -> list[reports.ReportRow]:
            self._authorise(connection, actor)
            return reports.page(connection, status, before, size + 1)

        rows = await self._database.read(read)
        return Reports(*cut(rows, size, lambda row: Following(row.created_at, row.report_id)))

    async def resolve(self, actor: Actor, report_id: str) -> None:
        """Close a report that was right. What is done about it is an act of its own."""
        await self._act(
            actor, "report.resolve", report_id, partial(self._close_report, report_id, ReportStatus.RESOLVED)
        )

    async def dismiss(self, actor: Actor, report_id: str) -> None:
        """Close a report that was not right."""
        await self._act(
            actor, "report.dismiss", report_id, partial(self._close_report, report_id, ReportStatus.DISMISSED)
        )

    async def _act(self, actor: Actor, action: str, target_id: str, change: Callable[[Connection], list[str]]) -> None:
        entry_id, now = self._ids.new(), self._clock.now()
        request_id = current_request_id() or None  # here, because the database's threads do not know the request

        def act(connection: Connection) -> list[str]:
            self._authorise(connection, actor)
            if not is_ulid(target_id):  # MySQL would refuse to compare some text with an id
                raise NotFound
            ended = change(connection)
            store.append(
                connection,
                AuditEntry(
                    id=entry_id,
                    actor_id=actor.user_id,
                    action=action,
                    target_id=target_id,
                    reason=actor.reason,
                    request_id=request_id,
                    created_at=now,
                ),
            )
            return ended

        await self._revoked.announce(*await self._database.write(act))

    @staticmethod
    def _authorise(connection: Connection, actor: Actor) -> None:
        # The token names the role of up to half an hour ago; the row decides.
        if actor.user_id is None:
            return
        account = accounts.account_of(connection, actor.user_id)
        if account is None or account.status != STATUS_ACTIVE or account.role != ROLE_ADMIN:
            raise Forbidden

    def _set_status(self, user_id: str, status: str, connection: Connection) -> list[str]:
        self._require_account(connection, user_id)
        accounts.set_status(connection, user_id, status, self._clock.now())
        return logins.revoke_all(connection, user_id, self._clock.now()) if status == STATUS_BLOCKED else []

    def _set_role(self, user_id: str, role: str, connection: Connection) -> list[str]:
        self._require_account(connection, user_id)
        accounts.set_role(connection, user_id, role, self._clock.now())
        return logins.revoke_all(connection, user_id, self._clock.now()) if role == ROLE_USER else []

    def _set_sight(
        self, change: Callable[[Connection, str, datetime], bool], post_id: str, connection: Connection
    ) -> list[str]:
        if not change(connection, post_id, self._clock.now()):
            raise NotFound
        return []

    def _close_report(self, report_id: str, status: ReportStatus, connection: Connection) -> list[str]:
        if not is_ulid(report_id) or not reports.close(connection, report_id, status, self._clock.now()):
            raise NotFound
        return []

    @staticmethod
    def _moderate(change: Callable[[Connection, str], None], comment_id: str, connection: Connection) -> list[str]:
        change(connection, comment_id)
        return []

    @staticmethod
    def _require_account(connection: Connection, user_id: str) -> None:
        account = accounts.account_of(connection, user_id, lock=True)
        if account is None or account.status == STATUS_DELETED:
            raise NotFound
