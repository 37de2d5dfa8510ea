"""Passwords of an older server: bcrypt's, beside those of today."""

from collections import Counter

import bcrypt
import pytest

from bapsang_api.auth import passwords
from bapsang_api.auth.passwords import Passwords, bcrypt_cost

PASSWORD = "Bapsang-2026!"
HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize("scheme", ["$2a$", "$2b$", "$2y$"])
async def test_password_of_an_older_server_is_checked_and_outdated(scheme: str) -> None:
    hashed = scheme + HASH[4:]
    checking = Passwords()
    assert await checking.verify(hashed, PASSWORD)
    assert not await checking.verify(hashed, PASSWORD.lower())
    assert not await checking.verify(hashed, "a" * 80), "longer than bcrypt takes"
    assert checking.is_outdated(hashed)
    assert not checking.is_outdated(await checking.hash(PASSWORD))
    await checking.close()


@pytest.mark.parametrize("hashed", ["$2b$04$tooshort", "$argon2id$broken", "{SHA}x", ""])
async def test_what_is_no_hash_matches_nothing(hashed: str) -> None:
    checking = Passwords()
    assert not await checking.verify(hashed, PASSWORD)
    await checking.close()


async def test_both_kinds_of_work_are_done_for_nobody_once_there_are_both(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = list[str]()
    monkeypatch.setattr(passwords, "_matches", lambda hashed, _: bool(checked.append(hashed[:6])))
    checking = Passwords()
    names = [f"nobody{number}@example.com" for number in range(64)]
    for name in names:
        await checking.verify(None, PASSWORD, name=name)
    assert set(checked) == {"$argon"}
    await checking.verify(HASH, PASSWORD)
    checked.clear()
    for name in names:
        await checking.verify(None, PASSWORD, name=name)
    assert min(Counter(checked).values()) > 10, (
        "the time of an answer tells which e-mails are accounts of the older server"
    )
    assert set(checked) == {"$argon", HASH[:6]}
    before = checked.copy()
    checked.clear()
    for name in names:
        await checking.verify(None, PASSWORD, name=name.upper())
    assert checked == before, "asked often enough, a name that takes both times is nobody's"
    await checking.close()


def test_cost_of_a_hash_is_read_from_it() -> None:
    assert bcrypt_cost(HASH) == 4
    assert bcrypt_cost("$2b$31" + HASH[6:]) == 31
    for odd in (HASH[:-1], "$2x$" + HASH[4:], "$2b$xx" + HASH[6:], "$2b$32" + HASH[6:], "$2b$04x" + HASH[7:], ""):
        assert bcrypt_cost(odd) is None
