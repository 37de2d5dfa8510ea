"""Users of the older server, each with the one login that an account has here."""

import secrets
from collections.abc import Iterable, Sequence
from typing import Any, Final

from bapsang_api.importing import rules, store
from bapsang_api.importing.models import LOGIN, USER
from bapsang_api.importing.old import Row, id_text
from bapsang_api.importing.taking import Taking
from bapsang_api.kit.text import folded
from bapsang_api.uploads.rules import Category
from bapsang_api.users.models import PROVIDER_LOCAL, STATUS_DELETED

_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def take_users(taking: Taking, rows: Sequence[Row], logins: Iterable[Row], utc: frozenset[str]) -> None:
    """Take users with the one login that each has here."""
    by_id = {id_text(row["id"]): row for row in rows}
    known, free = taking.known(USER, by_id), taking.free_ids(store.users, by_id)
    of_user: dict[str, list[Row]] = {}
    for login in logins:
        of_user.setdefault(id_text(login["user_id"]), []).append(login)
    names = _Names(taking, [row["nickname"] for row in rows])
    emails = _Emails(taking, [login["email"] for found in of_user.values() for login in found])
    for old_id, row in by_id.items():
        taking.tally.found += 1
        if old_id in known:
            taking.tally.imported += 1
        elif not rules.is_old_id(old_id):
            taking.tally.skip(repr(old_id[:100]), "id_unusable")
        else:
            logins_of = sorted(of_user.get(old_id, ()), key=_preference)
            chosen = logins_of[0] if logins_of else None
            _take_user(taking, old_id, row, chosen, names, emails, is_free=old_id in free, utc=utc)


def _preference(login: Row) -> tuple[bool, bool]:
    return str(login["provider"] or PROVIDER_LOCAL).upper() != PROVIDER_LOCAL, not login["password_hash"]


def _take_user(
    taking: Taking,
    old_id: str,
    row: Row,
    login: Row | None,
    names: "_Names",
    emails: "_Emails",
    *,
    is_free: bool,
    utc: frozenset[str],
) -> None:
    changes: list[str] = []
    created_at = taking.times.created(row["created_at"], old_id, changes.append, utc="created_at" in utc)
    deleted_at = taking.time(row, "deleted_at", utc)
    status = rules.user_status(row["user_status"], row["deleted_at"] is not None, changes.append)
    user_id = old_id if is_free else rules.new_id(created_at)
    nobody = status == STATUS_DELETED  # nothing that tells who it was is taken
    nickname, key = "~" + "".join(secrets.choice(_LETTERS) for _ in range(9)), None
    if not nobody:
        nickname = names.give(row["nickname"], changes)
        key = taking.image(row["profile_image_key"], user_id, Category.PROFILE_IMAGE, changes, hidden=False)
    taking.add(
        "users",
        id=user_id,
        nickname=nickname,
        profile_image_key=key,
        user_role=rules.role(None if nobody else row["user_role"], changes.append),
        user_status=status,
        created_at=created_at,
        updated_at=taking.time(row, "updated_at", utc),
        deleted_at=(deleted_at or taking.times.now) if nobody else None,
    )
    _take_login(taking, user_id, login, emails, changes, nobody=nobody)
    taking.add("user_numbers", user_id=user_id)
    taking.add_id(USER, old_id, user_id)
    taking.tally.imported += 1
    taking.tally.take(old_id, user_id, changes)


def _take_login(
    taking: Taking, user_id: str, login: Row | None, emails: "_Emails", changes: list[str], *, nobody: bool
) -> None:
    auth_id = rules.new_id(taking.times.now)
    email, password_hash, provider = None, None, PROVIDER_LOCAL
    if login is None:
        if not nobody:
            changes.append("login_missing")
    else:
        if not nobody:
            email = emails.give(login["email"], changes)
            provider = rules.provider(login["provider"], changes.append)
            password_hash = rules.password_hash(login["password_hash"], changes.append)
        if rules.is_old_id(id_text(login["id"])):
            taking.add_id(LOGIN, id_text(login["id"]), auth_id)
    taking.add(
        "user_auth",
        id=auth_id,
        user_id=user_id,
        password_hash=None if email is None else password_hash,
        provider=provider,
        email=email or f"~{user_id}",  # no @, so nobody can sign up with it
    )


class _Names:
    """Nicknames that nobody has yet, here or in the batch."""

    def __init__(self, taking: Taking, wanted: Iterable[Any]) -> None:
        self._taking = taking
        allowed = {rules.nickname(name, lambda _: False, lambda _: None) for name in wanted}
        self._taken = store.nicknames(taking.connection, allowed) | taking.pretended.names
        self._free = {folded(name) for name in allowed} - self._taken

    def give(self, wanted: Any, changes: list[str]) -> str:
        name = rules.nickname(wanted, self._is_taken, changes.append)
        self._taken.add(folded(name))
        self._free.discard(folded(name))
        self._taking.pretended.names.add(folded(name))
        return name

    def _is_taken(self, name: str) -> bool:
        if folded(name) in self._taken:
            return True
        return folded(name) not in self._free and bool(store.nicknames(self._taking.connection, [name]))


class _Emails:
    """E-mails that nobody has yet, here or in the batch."""

    def __init__(self, taking: Taking, wanted: Iterable[Any]) -> None:
        self._pretended = taking.pretended.emails
        addresses = {found for address in wanted if (found := rules.email(address)) is not None}
        self._taken = store.emails(taking.connection, addresses) | self._pretended

    def give(self, wanted: Any, changes: list[str]) -> str | None:
        address = rules.email(wanted)
        if address is None:
            changes.append("email_unusable")
        elif folded(address) in self._taken:
            changes.append("email_taken")
            address = None
        else:
            self._taken.add(folded(address))
            self._pretended.add(folded(address))
        return address
