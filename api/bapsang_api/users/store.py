"""Every SQL statement on accounts."""

from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bapsang_api.kit.columns import table_of
from bapsang_api.users.models import User, UserAuth

users = table_of(User)
user_auth = table_of(UserAuth)


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


@dataclass(frozen=True)
class Profile:
    """What a user sees of their own account."""

    nickname: str
    email: str


def add(session: Session, user: User, auth: UserAuth) -> None:
    """Insert an account. The unique indexes decide: raises NicknameTakenError or EmailTakenError."""
    session.add(user)
    try:
        session.flush()
    except IntegrityError as error:
        raise NicknameTakenError from error
    session.add(auth)
    try:
        session.flush()
    except IntegrityError as error:
        raise EmailTakenError from error


def nickname_taken(session: Session, nickname: str) -> bool:
    return bool(session.scalar(select(exists().where(users.c.nickname == nickname))))


def email_taken(session: Session, email: str) -> bool:
    return bool(session.scalar(select(exists().where(user_auth.c.email == email))))


def login_of(session: Session, email: str) -> Login | None:
    row = session.execute(
        select(users.c.id, users.c.nickname, users.c.user_role, users.c.user_status, user_auth.c.password_hash)
        .join(user_auth, user_auth.c.user_id == users.c.id)
        .where(user_auth.c.email == email)
    ).one_or_none()
    return None if row is None else Login(*row)


def profile_of(session: Session, user_id: str) -> Profile | None:
    row = session.execute(
        select(users.c.nickname, user_auth.c.email)
        .join(user_auth, user_auth.c.user_id == users.c.id)
        .where(users.c.id == user_id)
    ).one_or_none()
    return None if row is None else Profile(*row)
