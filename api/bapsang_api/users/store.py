"""Every SQL statement on accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Connection,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from bapsang_api.kit.db.columns import table_of
from bapsang_api.kit.db.database import note
from bapsang_api.kit.text import folded
from bapsang_api.uploads.store import UnusedImage
from bapsang_api.users.models import STATUS_ACTIVE, STATUS_DELETED, Erasure, User, UserAuth, UserConsent, UserNumber
from bapsang_api.users.names import WITHDRAWN_NAME

users = table_of(User)
user_auth = table_of(UserAuth)
user_numbers = table_of(UserNumber)
user_consents = table_of(UserConsent)
erasures = table_of(Erasure)

# What every list and detail shows as the author.
author_name = case((users.c.user_status == STATUS_DELETED, WITHDRAWN_NAME), else_=users.c.nickname)


class NicknameTakenError(Exception):
    """Another user has this nickname, whatever the case of its letters."""


class EmailTakenError(Exception):
    """Another user has this e-mail, whatever the case of its letters."""


@dataclass(frozen=True)
class Login:
    """What is needed to check a login."""

    user_id: str
    nickname: str
    role: str
    status: str
    password_hash: str | None
    email: str
    verify_by: datetime | None
    suspended_until: datetime | None

    def is_usable(self, now: datetime) -> bool:
        """Return whether somebody may log in with it and act as who they are."""
        return self.status == STATUS_ACTIVE and not self.is_suspended(now)

    def is_suspended(self, now: datetime) -> bool:
        return self.suspended_until is not None and self.suspended_until > now


_INSERT: Final = insert(users)
_INSERT_AUTH: Final = insert(user_auth)
_THESE: Final[BindParameter[str]] = bindparam("user_ids", expanding=True)
_NUMBERS: Final = select(user_numbers.c.user_id, user_numbers.c.number).where(user_numbers.c.user_id.in_(_THESE))
_LOGIN = select(
    *(users.c.id, users.c.nickname, users.c.user_role, users.c.user_status),
    *(user_auth.c.password_hash, user_auth.c.email, user_auth.c.verify_by, users.c.suspended_until),
).join_from(users, user_auth, user_auth.c.user_id == users.c.id)


def add(connection: Connection, user: User, auth: UserAuth) -> None:
    """Insert an account. The unique indexes decide: raises NicknameTakenError or EmailTakenError."""
    try:
        connection.execute(_INSERT, user.model_dump(exclude={"changed_at"}))
    except IntegrityError as error:
        raise NicknameTakenError from error
    try:
        connection.execute(_INSERT_AUTH, auth.model_dump())
    except IntegrityError as error:
        raise EmailTakenError from error


def add_consents(connection: Connection, consents: Sequence[UserConsent]) -> None:
    connection.execute(insert(user_consents), [consent.model_dump() for consent in consents])


def add_erasure(connection: Connection, erasure: Erasure) -> None:
    """Note in the journal that somebody has withdrawn or was erased. Doing it again changes nothing."""
    if connection.scalar(select(erasures.c.id).where(erasures.c.id == erasure.id)) is None:
        connection.execute(insert(erasures), erasure.model_dump())


def nickname_taken(connection: Connection, nickname: str) -> bool:
    return bool(connection.scalar(select(exists().where(users.c.nickname == nickname))))


def email_taken(connection: Connection, email: str) -> bool:
    return id_of(connection, email) is not None


def login_of(connection: Connection, email: str, email_hash: str) -> Login | None:
    """Return the account that has this e-mail, else the last one withdrawn that had it (`email_hash`).

    One statement for both: an unknown e-mail must not take longer than a known one.
    """
    # What a withdrawn account has in the place of its e-mail is nobody's login.
    present = _LOGIN.add_columns(literal(0).label("rank")).where(
        user_auth.c.email == email, users.c.user_status != STATUS_DELETED
    )
    withdrawn = _LOGIN.add_columns(literal(1).label("rank")).where(user_auth.c.withdrawn_email_hash == email_hash)
    found = union_all(present, withdrawn).subquery()
    row = connection.execute(select(found).order_by(found.c.rank, found.c.id.desc()).limit(1)).one_or_none()
    if row is None or (row.rank == 0 and not _is_same(row.email, email)):
        return None
    return Login(*row[:-1])


def account_of(connection: Connection, user_id: str, *, lock: bool = False) -> Login | None:
    """Return an account; with `lock` nobody changes its password or status until the end of the transaction."""
    statement = _LOGIN.where(users.c.id == user_id)
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    return None if row is None else Login(*row)


def joined_at(connection: Connection, user_id: str) -> datetime | None:
    """Return when somebody signed up."""
    return connection.scalar(select(users.c.created_at).where(users.c.id == user_id))


def lock(connection: Connection, user_id: str) -> bool:
    """Let nobody else change a user's row, or hold this lock, until the end of the transaction; False without one."""
    return connection.scalar(select(users.c.id).where(users.c.id == user_id).with_for_update()) is not None


def id_of(connection: Connection, email: str) -> str | None:
    """Return whose e-mail it is, whatever the case of its letters."""
    row = connection.execute(select(user_auth.c.user_id, user_auth.c.email).where(user_auth.c.email == email)).first()
    return row.user_id if row is not None and _is_same(row.email, email) else None


def numbers_of(connection: Connection, user_ids: Sequence[str]) -> dict[str, int]:
    """Return the numbers of those users that have one."""
    rows = connection.execute(_NUMBERS, {"user_ids": list(user_ids)})
    return {str(row.user_id): int(row.number) for row in rows}


def give_numbers(connection: Connection, user_ids: Sequence[str]) -> dict[str, int]:
    """Give the users numbers that have none, and return the numbers of those that exist."""
    candidates = select(users.c.id).where(users.c.id.in_(user_ids)).order_by(users.c.id)
    connection.execute(
        insert(user_numbers)
        # Another process may just have given one.
        .prefix_with("IGNORE", dialect="mysql")
        .prefix_with("OR IGNORE", dialect="sqlite")
        .from_select(["user_id"], candidates)
    )
    return numbers_of(connection, user_ids)


def number_of(connection: Connection, user_id: str) -> int:
    """Return the number of a user that exists."""
    return (numbers_of(connection, [user_id]) or give_numbers(connection, [user_id]))[user_id]


def change_profile(connection: Connection, user_id: str, changes: dict[str, Any], now: datetime) -> bool:
    """Set columns of an active account; False when there is none. Raises NicknameTakenError."""
    try:
        changed = connection.execute(
            update(users)
            .where(users.c.id == user_id, users.c.user_status == STATUS_ACTIVE)
            .values(**changes, updated_at=now)
        )
    except IntegrityError as error:
        raise NicknameTakenError from error
    note(connection, user_id)
    return bool(changed.rowcount)


def image_of(connection: Connection, user_id: str) -> str | None:
    """Return the key of a user's picture, which nobody changes until the end of the transaction."""
    return connection.scalar(select(users.c.profile_image_key).where(users.c.id == user_id).with_for_update())


def picture_of(connection: Connection, user_id: str) -> str | None:
    """Return the key of a user's picture as it is now."""
    return connection.scalar(select(users.c.profile_image_key).where(users.c.id == user_id))


def picture_changed(connection: Connection, owner_id: str, object_key: str, now: datetime) -> None:
    """Have whatever shows this user read anew, if the image is theirs: what is known of it has changed."""
    theirs = users.c.id == owner_id, users.c.profile_image_key == object_key
    connection.execute(update(users).where(*theirs).values(updated_at=now))
    note(connection, owner_id)


def images_in_use(connection: Connection, images: Sequence[UnusedImage]) -> set[str]:
    """Return those of these images, by their object keys, that are somebody's picture."""
    pictures = connection.scalars(select(users.c.profile_image_key).where(users.c.id.in_({i.owner_id for i in images})))
    return {image.object_key for image in images} & set(filter(None, pictures))


def set_password(connection: Connection, user_id: str, password_hash: str) -> None:
    connection.execute(update(user_auth).where(user_auth.c.user_id == user_id).values(password_hash=password_hash))


def set_status(connection: Connection, user_id: str, status: str, now: datetime) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(user_status=status, updated_at=now))
    note(connection, user_id)


def suspend(connection: Connection, user_id: str, until: datetime | None) -> None:
    """Let nobody use an account until then; None ends a suspension. What others see of it stays as it is."""
    connection.execute(update(users).where(users.c.id == user_id).values(suspended_until=until))


def set_role(connection: Connection, user_id: str, role: str, now: datetime) -> None:
    connection.execute(update(users).where(users.c.id == user_id).values(user_role=role, updated_at=now))
    note(connection, user_id)


def email_of(connection: Connection, user_id: str) -> str:
    return str(connection.scalars(select(user_auth.c.email).where(user_auth.c.user_id == user_id)).one())


def anonymise(connection: Connection, user_id: str, *, nickname: str, email_hash: str, now: datetime) -> None:
    """Mark an account as withdrawn and free its e-mail and nickname; `nickname` takes the old one's place."""
    connection.execute(
        update(users)
        .where(users.c.id == user_id)
        .values(nickname=nickname, profile_image_key=None, user_status=STATUS_DELETED, deleted_at=now, updated_at=now)
    )
    connection.execute(
        update(user_auth)
        .where(user_auth.c.user_id == user_id)
        # No @, so nobody can sign up with it.
        .values(
            email=f"~{user_id}",
            withdrawn_email_hash=email_hash,
            withdrawn_at=now,
            email_verified_at=None,
            verify_by=None,
        )
    )
    note(connection, user_id)


def withdrawn_before(connection: Connection, moment: datetime, limit: int) -> list[str]:
    """Return logins of accounts that were withdrawn before `moment` and still have traces of it."""
    return list(connection.scalars(select(user_auth.c.id).where(user_auth.c.withdrawn_at < moment).limit(limit)))


def forget(connection: Connection, auth_ids: list[str]) -> None:
    """Remove what could still tell who a withdrawn account belonged to."""
    connection.execute(
        update(user_auth)
        .where(user_auth.c.id.in_(auth_ids))
        .values(withdrawn_email_hash=None, withdrawn_at=None, password_hash=None)
    )
    people = select(user_auth.c.user_id).where(user_auth.c.id.in_(auth_ids))
    forget_consents(connection, list(connection.scalars(people)))


def forget_consents(connection: Connection, user_ids: Sequence[str]) -> None:
    connection.execute(delete(user_consents).where(user_consents.c.user_id.in_(user_ids)))


def _is_same(stored: str, email: str) -> bool:
    # The index only finds it: for MySQL's collation `é` is `e`, and a control character is nothing. Everybody who can spell an
    # e-mail in a hundred ways would have as many limits of logins.
    return folded(stored) == folded(email)
