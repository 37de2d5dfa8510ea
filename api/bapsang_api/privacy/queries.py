"""What an export holds: a table of what is kept of a person, in batches."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, select
from ulid import ULID

from bapsang_api.auth.models import AccessEntry, AuthSession
from bapsang_api.comments.models import Comment
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.db.columns import table_of
from bapsang_api.likes.models import UserPostLike
from bapsang_api.mail.models import Mail
from bapsang_api.moderation.models import AuditEntry
from bapsang_api.notifications.models import Inbox, Notification
from bapsang_api.people.models import Bookmark, Follow, HiddenPerson, Reason
from bapsang_api.posts.models import STATUS_DELETED, Post, PostContent, PostImage
from bapsang_api.reports.models import Report
from bapsang_api.users.models import User, UserAuth, UserConsent

Read = Callable[[Callable[[Connection], Any]], Any]
_ROWS: Final = 500
_users, _auth, _consents = table_of(User), table_of(UserAuth), table_of(UserConsent)
_sessions, _access, _audit = table_of(AuthSession), table_of(AccessEntry), table_of(AuditEntry)
_posts, _contents, _images = table_of(Post), table_of(PostContent), table_of(PostImage)
_mail = table_of(Mail)
_comments, _likes, _reports = table_of(Comment), table_of(UserPostLike), table_of(Report)
_follows, _hidden, _bookmarks = table_of(Follow), table_of(HiddenPerson), table_of(Bookmark)
_inboxes, _notifications = table_of(Inbox), table_of(Notification)


@dataclass(frozen=True)
class Section:
    """A file of the archive: rows of a statement in the order of `key`, as objects of these columns by their names."""

    name: str
    columns: Mapping[str, ColumnElement[Any]]
    whose: ColumnElement[Any]
    key: ColumnElement[Any]
    joined: Callable[[Select[Any]], Select[Any]] | None = None

    def rows(self, read: Read, user_id: str) -> Iterator[dict[str, Any]]:
        """Yield the rows of a person, a batch at a time."""
        statement = select(self.key.label("_key"), *(column.label(name) for name, column in self.columns.items()))
        statement = self.joined(statement) if self.joined else statement
        statement = statement.where(self.whose == user_id).order_by(self.key).limit(_ROWS)
        after: Any = None
        while True:
            page = statement if after is None else statement.where(self.key > after)
            rows = read(partial(_all, statement=page))
            for row in rows:
                yield {name: _shown(name, row[name]) for name in self.columns}
            if len(rows) < _ROWS:
                return
            after = rows[-1]["_key"]


def _with_login(statement: Select[Any]) -> Select[Any]:
    return statement.join_from(_users, _auth, _auth.c.user_id == _users.c.id)


def _with_contents(statement: Select[Any]) -> Select[Any]:
    return statement.join_from(_posts, _contents, _contents.c.id == _posts.c.id)


def _of_posts(statement: Select[Any]) -> Select[Any]:
    joined = statement.join_from(_images, _posts, _posts.c.id == _images.c.post_id)
    return joined.where(_posts.c.post_status != STATUS_DELETED)


def _own_choice(statement: Select[Any]) -> Select[Any]:
    """Leave out who has blocked them: that is the others'."""
    return statement.where(_hidden.c.reason != Reason.BLOCKED_BY)


SECTIONS: Final = (
    Section(
        "account",
        {
            "email": _auth.c.email,
            "emailVerifiedAt": _auth.c.email_verified_at,
            "nickname": _users.c.nickname,
            "profileImageKey": _users.c.profile_image_key,
            "role": _users.c.user_role,
            "status": _users.c.user_status,
            "suspendedUntil": _users.c.suspended_until,
            "createdAt": _users.c.created_at,
        },
        _users.c.id,
        _users.c.id,
        _with_login,
    ),
    Section(
        "consents",
        {"document": _consents.c.document, "version": _consents.c.version, "recordedAt": _consents.c.recorded_at},
        _consents.c.user_id,
        _consents.c.document,
    ),
    Section(
        "devices",
        {
            "createdAt": _sessions.c.created_at,
            "lastUsedAt": _sessions.c.last_used_at,
            "endedAt": _sessions.c.revoked_at,
            "userAgent": _sessions.c.user_agent,
        },
        _sessions.c.user_id,
        _sessions.c.id,
    ),
    Section(
        "access",
        {"at": _access.c.id, "act": _access.c.act, "address": _access.c.address},
        _access.c.user_id,
        _access.c.id,
    ),
    Section(
        "posts",
        {
            "postId": _posts.c.id,
            "title": _posts.c.title,
            "content": _contents.c.content,
            "tags": _posts.c.tags,
            "status": _posts.c.post_status,
            "createdAt": _posts.c.created_at,
            "updatedAt": _posts.c.updated_at,
            "deletedAt": _posts.c.deleted_at,
            "likeCount": _posts.c.like_count,
            "commentCount": _posts.c.comment_count,
            "viewCount": _posts.c.view_count,
        },
        _posts.c.user_id,
        _posts.c.id,
        _with_contents,
    ),
    Section(
        "images",
        {
            "postId": _images.c.post_id,
            "position": _images.c.position,
            "key": _images.c.object_key,
            "alt": _images.c.alt,
        },
        _posts.c.user_id,
        _images.c.object_key + _images.c.post_id,
        _of_posts,
    ),
    Section(
        "comments",
        {
            "commentId": _comments.c.comment_id,
            "postId": _comments.c.post_id,
            "parentId": _comments.c.parent_id,
            "content": _comments.c.content,
            "status": _comments.c.comment_status,
            "createdAt": _comments.c.created_at,
            "updatedAt": _comments.c.updated_at,
            "deletedAt": _comments.c.deleted_at,
        },
        _comments.c.user_id,
        _comments.c.comment_id,
    ),
    Section(
        "likes", {"postId": _likes.c.post_id, "createdAt": _likes.c.created_at}, _likes.c.user_id, _likes.c.post_id
    ),
    Section(
        "follows",
        {"userId": _follows.c.followed_id, "createdAt": _follows.c.created_at},
        _follows.c.follower_id,
        _follows.c.followed_id,
    ),
    Section(
        "hidden",
        {"userId": _hidden.c.hidden_id, "reason": _hidden.c.reason, "createdAt": _hidden.c.created_at},
        _hidden.c.viewer_id,
        _hidden.c.hidden_id + _hidden.c.reason,
        _own_choice,
    ),
    Section(
        "bookmarks",
        {"postId": _bookmarks.c.post_id, "createdAt": _bookmarks.c.created_at},
        _bookmarks.c.user_id,
        _bookmarks.c.post_id,
    ),
    Section(
        "notifications",
        {
            "kind": _notifications.c.kind,
            "actorId": _notifications.c.actor_id,
            "postId": _notifications.c.post_id,
            "commentId": _notifications.c.comment_id,
            "text": _notifications.c.detail,
            "createdAt": _notifications.c.created_at,
            "readAt": _notifications.c.read_at,
        },
        _notifications.c.user_id,
        _notifications.c.number,
    ),
    Section(
        "notification-settings",
        {"off": _inboxes.c.muted_kinds},
        _inboxes.c.user_id,
        _inboxes.c.user_id,
    ),
    Section(
        "reports",
        {
            "targetKind": _reports.c.target_kind,
            "targetId": _reports.c.target_id,
            "reason": _reports.c.reason,
            "detail": _reports.c.detail,
            "status": _reports.c.report_status,
            "createdAt": _reports.c.created_at,
            "closedAt": _reports.c.closed_at,
        },
        _reports.c.reporter_id,
        _reports.c.id,
    ),
    Section(
        "mail",
        {"letter": _mail.c.letter, "createdAt": _mail.c.created_at, "sentAt": _mail.c.sent_at},
        _mail.c.user_id,
        _mail.c.id,
    ),
    Section(
        "measures",
        {
            "action": _audit.c.action,
            "reason": _audit.c.reason,
            "detail": _audit.c.detail,
            "createdAt": _audit.c.created_at,
        },
        _audit.c.target_id,
        _audit.c.id,
    ),
)


def _all(connection: Connection, statement: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(statement).mappings().all()


def _shown(name: str, value: Any) -> Any:
    if name == "at":  # the time of an entry is its id's
        return to_wire(ULID.from_str(value).datetime)
    if isinstance(value, datetime):
        return to_wire(value)
    return list(value) if isinstance(value, tuple) else value
