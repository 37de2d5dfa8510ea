"""Use cases of administrators. Every act and its entry in the audit log are one transaction: there is never one without
the other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy import Connection

from bapsang_api.auth import store as logins
from bapsang_api.auth.revocation import RevokedSessions
from bapsang_api.comments import service as comments
from bapsang_api.comments import store as comments_store
from bapsang_api.comments.store import Node
from bapsang_api.kit.clock import Clock, to_wire, until_in_words
from bapsang_api.kit.committed import after_commit
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.db.keyset import Following, Keyset, cut
from bapsang_api.kit.ids import Ids, is_ulid
from bapsang_api.kit.problem import Conflict, FieldError, InvalidInput, NotFound
from bapsang_api.likes.service import LikeService
from bapsang_api.moderation import telling
from bapsang_api.moderation.acts import Actor, Acts, Entry, Outcome
from bapsang_api.posts import sight
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.models import STATUS_HIDDEN as POST_HIDDEN
from bapsang_api.reports import store as reports
from bapsang_api.reports.vocabulary import ReportStatus
from bapsang_api.users import store as accounts
from bapsang_api.users.models import ROLE_ADMIN, ROLE_USER, STATUS_ACTIVE, STATUS_BLOCKED, STATUS_DELETED

LONGEST_SUSPENSION: Final = timedelta(days=3650)
Change = Callable[[Connection, datetime], None]


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
        self._acts, self._revoked, self._likes, self._clock = Acts(database, clock, ids), revoked, likes, clock

    async def block(self, actor: Actor, user_id: str) -> None:
        """Keep a user out: every session ends and no login succeeds. Raises Conflict for the actor's own account."""
        if user_id == actor.user_id:
            raise Conflict("자기 자신은 차단할 수 없습니다.")
        await self._out(actor, "user.block", user_id, partial(_set_status, user_id, STATUS_BLOCKED))

    async def unblock(self, actor: Actor, user_id: str) -> None:
        """Let a blocked user log in again."""
        await self._in(actor, "user.unblock", user_id, partial(_set_status, user_id, STATUS_ACTIVE))

    async def suspend(self, actor: Actor, user_id: str, *, until: datetime | None, days: int | None) -> None:
        """Keep a user out until a time, or for so many days; every session ends. It ends by itself.

        Raises Conflict for the actor's own account, InvalidInput for a time that has passed or is too far off, and without one.
        """
        if user_id == actor.user_id:
            raise Conflict("자기 자신은 정지할 수 없습니다.")
        end = _end_of(until, days, self._clock.now())

        def change(connection: Connection, now: datetime) -> None:
            accounts.suspend(connection, user_id, end)
            telling.of_user(connection, user_id, f"{until_in_words(end)}까지 이용이 정지되었습니다.", now)

        await self._out(actor, "user.suspend", user_id, change, f"until {to_wire(end)}")

    async def unsuspend(self, actor: Actor, user_id: str) -> None:
        """End a suspension before its time."""

        def change(connection: Connection, now: datetime) -> None:
            accounts.suspend(connection, user_id, None)
            telling.of_user(connection, user_id, "이용 정지가 풀렸습니다.", now)

        await self._in(actor, "user.unsuspend", user_id, change)

    async def grant(self, actor: Actor, user_id: str) -> None:
        """Make a user an administrator, from the next refresh of their token on."""
        await self._in(actor, "role.grant", user_id, partial(_set_role, user_id, ROLE_ADMIN))

    async def revoke(self, actor: Actor, user_id: str) -> None:
        """Make an administrator an ordinary user. Every session ends, because its tokens still name the role."""
        await self._out(actor, "role.revoke", user_id, partial(_set_role, user_id, ROLE_USER))

    async def hide(self, actor: Actor, post_id: str) -> None:
        """Take a post and its pictures from sight; it can be shown again, with every like it had."""
        await self._hide(actor, "post.hide", post_id, "게시글이 숨겨졌습니다.")

    async def show(self, actor: Actor, post_id: str) -> None:
        """Bring a hidden post back; a held one is published."""
        await self._show(actor, "post.show", post_id, "숨겨졌던 게시글이 다시 보입니다.")

    async def approve(self, actor: Actor, post_id: str) -> None:
        """Publish a held post, or one that was refused. If it never was, it is of this moment, on top of the lists."""
        await self._show(actor, "post.approve", post_id, "확인이 끝나 게시글이 게시되었습니다.")

    async def refuse(self, actor: Actor, post_id: str) -> None:
        """Let a held post be seen by nobody: from now on it is a hidden one."""
        await self._hide(actor, "post.refuse", post_id, "확인한 결과 게시글을 게시할 수 없습니다.")

    async def hide_comment(self, actor: Actor, comment_id: str) -> None:
        """Take a comment from sight; it can be shown again. An answered one stays as a place in the tree."""
        change = partial(_moderate, comments.hide, comment_id, "댓글이 숨겨졌습니다.")
        await self._acts.do(actor, "comment.hide", comment_id, change)

    async def show_comment(self, actor: Actor, comment_id: str) -> None:
        """Bring a hidden comment back."""
        await self._acts.do(
            actor,
            "comment.show",
            comment_id,
            partial(_moderate, comments.show, comment_id, "숨겨졌던 댓글이 다시 보입니다."),
        )

    async def reports(self, actor: Actor, status: ReportStatus, before: Keyset | None, size: int) -> Reports:
        """Return up to `size` reports in that state, older than `before`, newest first."""
        rows = await self._acts.look(actor, partial(reports.page, status=status, before=before, limit=size + 1))
        return Reports(*cut(rows, size, lambda row: Following(row.created_at, row.report_id)))

    async def resolve(self, actor: Actor, report_id: str) -> None:
        """Close a report that was right. What is done about it is an act of its own."""
        await self._acts.do(actor, "report.resolve", report_id, partial(_close, report_id, ReportStatus.RESOLVED))

    async def dismiss(self, actor: Actor, report_id: str) -> None:
        """Close a report that was not right."""
        await self._acts.do(actor, "report.dismiss", report_id, partial(_close, report_id, ReportStatus.DISMISSED))

    async def _hide(self, actor: Actor, action: str, post_id: str, said: str) -> None:
        def change(connection: Connection, entry: Entry) -> Outcome[None]:
            turn = sight.hide(connection, post_id, entry.now)
            return _told(connection, turn, post_id, POST_HIDDEN, said, entry.now)

        await self._acts.do(actor, action, post_id, change)
        with after_commit("moderation.likes_not_withheld", post_id=post_id):  # likes of what nobody sees do no harm
            await self._likes.withhold(post_id)

    async def _show(self, actor: Actor, action: str, post_id: str, said: str) -> None:
        def change(connection: Connection, entry: Entry) -> Outcome[None]:
            turn = sight.show(connection, post_id, entry.now)
            return _told(connection, turn, post_id, POST_ACTIVE, said, entry.now)

        await self._acts.do(actor, action, post_id, change)
        with after_commit("moderation.likes_not_restored", post_id=post_id):  # the next like does
            await self._likes.restore(post_id)

    async def _in(self, actor: Actor, action: str, user_id: str, change: Change) -> None:
        def changed(connection: Connection, entry: Entry) -> Outcome[None]:
            _require_account(connection, user_id)
            change(connection, entry.now)
            return Outcome(None)

        await self._acts.do(actor, action, user_id, changed)

    async def _out(self, actor: Actor, action: str, user_id: str, change: Change, detail: str | None = None) -> None:
        """Change an account and end all its sessions."""

        def changed(connection: Connection, entry: Entry) -> Outcome[list[str]]:
            _require_account(connection, user_id)
            change(connection, entry.now)
            return Outcome(logins.revoke_all(connection, user_id, entry.now), detail)

        await self._revoked.announce(*await self._acts.do(actor, action, user_id, changed))


def _end_of(until: datetime | None, days: int | None, now: datetime) -> datetime:
    if until is None and days is None:
        raise InvalidInput(FieldError("until", "until이나 days 가운데 하나가 필요합니다."))
    end = until if until is not None else now + timedelta(days=days or 0)
    if not now < end <= now + LONGEST_SUSPENSION:
        raise InvalidInput(FieldError("until", f"지금부터 {LONGEST_SUSPENSION.days}일 안의 시각이어야 합니다."))
    return end


def _set_status(user_id: str, status: str, connection: Connection, now: datetime) -> None:
    accounts.set_status(connection, user_id, status, now)


def _set_role(user_id: str, role: str, connection: Connection, now: datetime) -> None:
    accounts.set_role(connection, user_id, role, now)


def _told(
    connection: Connection, turn: sight.Turn | None, post_id: str, status: str, said: str, now: datetime
) -> Outcome[None]:
    """Tell the author of a post what became of it, if it was something else before. Raises NotFound without a post."""
    if turn is None:
        raise NotFound
    if turn.before != status:
        telling.of_post(connection, turn.author_id, post_id, said, now)
    return Outcome(None)


def _close(report_id: str, status: ReportStatus, connection: Connection, entry: Entry) -> Outcome[None]:
    if not is_ulid(report_id) or not reports.close(connection, report_id, status, entry.now):
        raise NotFound
    return Outcome(None)


def _moderate(
    change: Callable[[Connection, str], Node], comment_id: str, said: str, connection: Connection, entry: Entry
) -> Outcome[None]:
    before = change(connection, comment_id)
    now = comments_store.node(connection, comment_id)
    if now is not None and now.status != before.status:
        telling.of_comment(connection, before.user_id, before.post_id, comment_id, said, entry.now)
    return Outcome(None)


def _require_account(connection: Connection, user_id: str) -> None:
    account = accounts.account_of(connection, user_id, lock=True)
    if account is None or account.status == STATUS_DELETED:
        raise NotFound
