"""What becomes of what an older server holds and this one does not allow. Pure; nobody and nothing is lost without a word."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ulid import ULID

from bapsang_api.auth.passwords import bcrypt_cost
from bapsang_api.comments import models as comments
from bapsang_api.importing.models import LONGEST_ID
from bapsang_api.kit import text
from bapsang_api.kit.clock import SEOUL
from bapsang_api.kit.ids import is_ulid
from bapsang_api.posts import models as posts
from bapsang_api.uploads.rules import TEMP_PREFIX, USERS_PREFIX
from bapsang_api.users import models as users

LONGEST_NICKNAME: Final = 10
LONGEST_EMAIL: Final = 254
LONGEST_TITLE: Final = 255
LONGEST_CONTENT: Final = 10_000
LONGEST_COMMENT: Final = 1_000
LONGEST_KEY: Final = 255
#: A check at login takes a second then; what costs more would keep the queue of logins from moving.
MOST_COST: Final = 14
NO_TITLE: Final = "제목 없음"
_NO_NAME: Final = "회원"
_NO_NICKNAME_SIGN: Final = re.compile("[^가-힣a-zA-Z0-9]")
_EMAIL: Final = re.compile("[!-?A-~]{1,64}@[!-?A-~]{1,189}")
_OLD_ID: Final = re.compile(f"[!-~]{{1,{LONGEST_ID}}}")
_KEY: Final = re.compile(f"[!-~]{{1,{LONGEST_KEY}}}")
_ARGON2: Final = re.compile(r"\$argon2id\$[!-~]{20,240}")
_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD: Final = timedelta(days=1)  # a clock that is wrong by so much is no reason to change a time

Changed = Callable[[str], None]
"""Takes the reason when something is not taken as it was."""


@dataclass(frozen=True)
class Times:
    """In which zone the older server wrote times, and when the import runs."""

    seoul: bool
    now: datetime

    def of(self, value: Any, *, utc: bool = False) -> datetime | None:
        """Return an aware time, None for none and for what is no time that can be."""
        if not isinstance(value, datetime):
            return None
        if value.tzinfo is None:
            value = value.replace(tzinfo=SEOUL if self.seoul and not utc else UTC)
        value = value.astimezone(UTC)
        return value if _EARLIEST <= value <= self.now + _AHEAD else None

    def created(self, value: Any, old_id: str, changed: Changed, *, utc: bool = False) -> datetime:
        """Return when a row was made: by its id where its own time cannot be, else the moment of the import."""
        found = self.of(value, utc=utc)
        if found is None:
            changed("bad_time")
            if is_ulid(old_id):
                found = self.of(ULID.from_str(old_id).datetime)
        return found or self.now


def is_old_id(old_id: str) -> bool:
    """Whether an id can be kept in the map."""
    return _OLD_ID.fullmatch(old_id) is not None


def new_id(created_at: datetime) -> str:
    """Return a new id with the time of what it names."""
    return str(ULID.from_datetime(created_at))


def nickname(value: Any, is_taken: Callable[[str], bool], changed: Changed) -> str:
    """Return a nickname by the rules of sign-up that nobody has yet: the old one, or what is left of it with a number."""
    given = unicodedata.normalize("NFC", str(value or "")[: 4 * LONGEST_NICKNAME])
    allowed = _NO_NICKNAME_SIGN.sub("", given)[:LONGEST_NICKNAME]
    if not allowed or allowed != given:
        changed("nickname_not_allowed")
    name = allowed or _NO_NAME
    if allowed and not is_taken(name):
        return name
    if allowed:
        changed("nickname_taken")
    number = 2
    while is_taken(numbered := name[: LONGEST_NICKNAME - len(str(number))] + str(number)):
        number = number * 2 + 1  # few steps, however many have this name
    return numbered


def email(value: Any) -> str | None:
    """Return an address that somebody can log in with, None for what is none."""
    given = str(value or "").strip()
    return given if len(given) <= LONGEST_EMAIL and _EMAIL.fullmatch(given) else None


def password_hash(value: Any, changed: Changed) -> str | None:
    """Return a hash that can be checked at login, None for any other: its owner has to reset the password."""
    if not value:
        return None
    given = str(value)
    cost = bcrypt_cost(given)
    if cost is not None and cost <= MOST_COST:
        return given
    if _ARGON2.fullmatch(given):
        return given
    changed("password_unknown" if cost is None else "password_too_costly")
    return None


def provider(value: Any, changed: Changed) -> str:
    given = str(value or users.PROVIDER_LOCAL).strip().upper()
    if re.fullmatch("[A-Z0-9_]{1,16}", given):
        return given
    changed("provider_unknown")
    return users.PROVIDER_LOCAL


def role(value: Any, changed: Changed) -> str:
    given = str(value or users.ROLE_USER).strip().upper().removeprefix("ROLE_")
    if given == users.ROLE_ADMIN:
        changed("is_admin")  # taken, but somebody should know
        return given
    if given != users.ROLE_USER:
        changed("role_unknown")
    return users.ROLE_USER


def user_status(value: Any, deleted: bool, changed: Changed) -> str:
    """Return the status of a user; of one that is not known, BLOCKED, which an administrator can lift."""
    known = {name: name for name in (users.STATUS_ACTIVE, users.STATUS_DELETED, users.STATUS_BLOCKED)}
    return _status(value, deleted, known, users.STATUS_DELETED, users.STATUS_BLOCKED, changed)


def post_status(value: Any, deleted: bool, changed: Changed) -> str:
    """Return the status of a post; of one that is not known, HIDDEN, which an administrator can lift."""
    known = {name: name for name in (posts.STATUS_ACTIVE, posts.STATUS_DELETED, posts.STATUS_HIDDEN)}
    known[users.STATUS_BLOCKED] = posts.STATUS_HIDDEN
    return _status(value, deleted, known, posts.STATUS_DELETED, posts.STATUS_HIDDEN, changed)


def comment_status(value: Any, deleted: bool, changed: Changed) -> str:
    known = {name: name for name in (comments.STATUS_ACTIVE, comments.STATUS_DELETED, comments.STATUS_HIDDEN)}
    known[users.STATUS_BLOCKED] = comments.STATUS_HIDDEN
    return _status(value, deleted, known, comments.STATUS_DELETED, comments.STATUS_HIDDEN, changed)


def _status(value: Any, deleted: bool, known: dict[str, str], gone: str, unclear: str, changed: Changed) -> str:
    if deleted:
        return gone
    given = str(value or "").strip().upper()
    if given not in known:
        changed("status_unknown")
    return known.get(given, unclear)


def words(value: Any, longest: int, changed: Changed) -> str:
    """Return a text as it is stored here: NFC, without rows of marks that no renderer takes, at most `longest` characters."""
    given = str(value or "")
    kept = given[: text.RAW_PER_CHARACTER * longest]
    try:
        kept = text.normalised(kept, longest, "")
    except ValueError:
        kept = unicodedata.normalize("NFC", _with_few_marks(kept))
        changed("text_cut")
    if len(kept) > longest or len(given) > text.RAW_PER_CHARACTER * longest:
        kept = f"{kept[: longest - 1]}…"
        changed("text_cut")
    return kept


def _with_few_marks(value: str) -> str:
    kept, marks = [], 0
    for character in value:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks < text.MOST_MARKS // 2 and not 0xD800 <= ord(character) <= 0xDFFF:
            kept.append(character)
    return "".join(kept)


def count(value: Any) -> int:
    """Return a counter that cannot be made up from rows."""
    return min(max(int(value or 0), 0), 2**31 - 1)


def image_key(value: Any, changed: Changed) -> str | None:
    """Return the key of an upload, None for none and for one that lies where no uploads do."""
    given = str(value or "").strip()
    if not given:
        return None
    if _KEY.fullmatch(given) and given.startswith((USERS_PREFIX, TEMP_PREFIX)):
        return given
    changed("image_key_unusable")
    return None
