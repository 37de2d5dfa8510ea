"""Every SQL statement that reads people for others: profiles, and lists of people."""

from typing import Any, Final

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, Table, bindparam, exists, func, select

from bapsang_api.home.view import ListedPerson, PersonView, Profile, Relation, users
from bapsang_api.kit.db.keyset import Keyset, Pages, newest_first
from bapsang_api.kit.db.views import columns_of
from bapsang_api.people.models import Reason
from bapsang_api.people.store import follows, hidden_people, not_blocked, not_hidden
from bapsang_api.posts.models import STATUS_ACTIVE as POST_ACTIVE
from bapsang_api.posts.view import posts
from bapsang_api.users.models import STATUS_ACTIVE

_PERSON: Final[BindParameter[str]] = bindparam("person_id")
_VIEWER: Final[BindParameter[str]] = bindparam("viewer_id")
_COLUMNS: Final = columns_of(PersonView)
_other: Final = hidden_people.alias("other")


def _count(table: Table, *where: ColumnElement[bool]) -> ColumnElement[int]:
    return select(func.count()).select_from(table).where(*where).scalar_subquery()


def _follows(follower: BindParameter[str], followed: BindParameter[str]) -> ColumnElement[bool]:
    return exists().where(follows.c.follower_id == follower, follows.c.followed_id == followed)


_PROFILE: Final = select(
    *_COLUMNS,
    users.c.created_at,
    _count(posts, posts.c.user_id == _PERSON, posts.c.post_status == POST_ACTIVE),
    users.c.follower_count,
    _count(follows, follows.c.follower_id == _PERSON),
).where(users.c.id == _PERSON, users.c.user_status == STATUS_ACTIVE)
_SEEN_PROFILE: Final = _PROFILE.add_columns(
    _follows(_VIEWER, _PERSON),
    _follows(_PERSON, _VIEWER),
    exists().where(
        hidden_people.c.viewer_id == _VIEWER,
        hidden_people.c.hidden_id == _PERSON,
        hidden_people.c.reason == Reason.MUTES,
    ),
).where(not_blocked(_VIEWER, users.c.id))
_SEEN: Final = select(users.c.id).where(users.c.id == _PERSON, users.c.user_status == STATUS_ACTIVE)


def _listed(table: Table, whose: ColumnElement[bool], shown: ColumnElement[str], *where: ColumnElement[bool]) -> Pages:
    """Return the pages of the active people in the column `shown`, those last who are there the longest."""
    statement: Select[Any] = (
        select(table.c.created_at, *_COLUMNS)
        .join_from(table, users, users.c.id == shown)
        .where(whose, users.c.user_status == STATUS_ACTIVE, *where)
        .order_by(table.c.created_at.desc(), shown.desc())
    )
    return newest_first(statement, table.c.created_at, shown)


_FOLLOWERS: Final = _listed(
    follows,
    follows.c.followed_id == _PERSON,
    follows.c.follower_id,
    not_hidden(_VIEWER, follows.c.follower_id),
)
_FOLLOWED: Final = _listed(
    follows,
    follows.c.follower_id == _PERSON,
    follows.c.followed_id,
    not_hidden(_VIEWER, follows.c.followed_id),
)
_BLOCKED: Final = _listed(
    hidden_people,
    (hidden_people.c.viewer_id == _VIEWER) & (hidden_people.c.reason == Reason.BLOCKS),
    hidden_people.c.hidden_id,
)
_MUTED: Final = _listed(
    hidden_people,
    (hidden_people.c.viewer_id == _VIEWER) & (hidden_people.c.reason == Reason.MUTES),
    hidden_people.c.hidden_id,
    ~exists().where(
        _other.c.viewer_id == _VIEWER, _other.c.hidden_id == hidden_people.c.hidden_id, _other.c.reason != Reason.MUTES
    ),
)


def profile(connection: Connection, person_id: str, viewer_id: str | None) -> Profile | None:
    """Return the page of somebody active as a viewer sees it, None where there is none or one of the two has blocked the other."""
    if viewer_id is None or viewer_id == person_id:
        row = connection.execute(_PROFILE, {"person_id": person_id}).one_or_none()
    else:
        row = connection.execute(_SEEN_PROFILE, {"person_id": person_id, "viewer_id": viewer_id}).one_or_none()
    if row is None:
        return None
    *person, joined_at, written, followers, following = row[: len(_COLUMNS) + 4]
    relation = row[len(_COLUMNS) + 4 :]
    return Profile(
        PersonView(*person),
        joined_at,
        written,
        followers,
        following,
        Relation(*map(bool, relation)) if relation else None,
    )


def is_seen(connection: Connection, person_id: str, viewer_id: str | None) -> bool:
    """Return whether there is such a page."""
    statement = _SEEN if viewer_id is None else _SEEN.where(not_blocked(viewer_id, users.c.id))
    return connection.scalar(statement, {"person_id": person_id}) is not None


def followers(
    connection: Connection, person_id: str, viewer_id: str | None, before: Keyset | None, limit: int
) -> list[ListedPerson]:
    """Return up to `limit` of those who follow somebody and whom the viewer sees, the last ones first."""
    return _people(_FOLLOWERS, connection, before, limit, person_id=person_id, viewer_id=viewer_id)


def followed(
    connection: Connection, person_id: str, viewer_id: str | None, before: Keyset | None, limit: int
) -> list[ListedPerson]:
    """Return up to `limit` of those whom somebody follows and the viewer sees, the last ones first."""
    return _people(_FOLLOWED, connection, before, limit, person_id=person_id, viewer_id=viewer_id)


def blocked(connection: Connection, viewer_id: str, before: Keyset | None, limit: int) -> list[ListedPerson]:
    """Return up to `limit` of those whom somebody has blocked, the last ones first."""
    return _people(_BLOCKED, connection, before, limit, viewer_id=viewer_id)


def muted(connection: Connection, viewer_id: str, before: Keyset | None, limit: int) -> list[ListedPerson]:
    """Return up to `limit` of those whom somebody has muted, the last ones first; not one who has blocked them since."""
    return _people(_MUTED, connection, before, limit, viewer_id=viewer_id)


def _people(
    pages: Pages, connection: Connection, before: Keyset | None, limit: int, **values: str | None
) -> list[ListedPerson]:
    rows = pages.rows(connection, before, limit, **values)
    return [ListedPerson(since, PersonView(*person)) for since, *person in rows]
