"""Nicknames that imitate the staff, and those that only sound a little like it."""

import pytest

from bapsang_api.users.staff import STAFF, imitates_staff


@pytest.mark.parametrize(
    "name",
    [
        *STAFF,
        *("Admin", "ADMIN", "Adm1n", "AdmIn", "admln", "r00t", "R0OT", "0fficia1", "offlcial", "BAPSANG0", "bapsang1"),
        *("1admin", "007admin", "admin2026", "운영자1", "1운영자", "운영자님", "관리자님2", "밥상운영팀", "밥상머리1"),
        *("공식밥상", "adminroot", "admin1root", "SysteM", "m0d", "MOD99", "staffmod", "0perator", "1운영자1"),
    ],
)
def test_names_of_the_staff_alone_or_with_digits_are_refused(name: str) -> None:
    assert imitates_staff(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "chef",
            "김chef",
            "김Chef1",
            "modern",
            "mody",
            "modi",
            "밥상차림",
            "우리밥상",
            "집밥상",
            "밥",
            "상",
            "공식이",
            "운영",
        ),
        *(
            "adm",
            "administra",
            "badmin",
            "nomad",
            "rooty",
            "rootbeer",
            "grassroots",
            "rosystem",
            "님",
            "1",
            "0",
            "il",
            "lili",
        ),
        *(
            "supporter",
            "officially",
            "staffy",
            "앨리스",
            "사람1",
            "관리",
            "시스템즈",
            "bapsangfan",
            "가나다라마바사아자차",
        ),
    ],
)
def test_names_with_anything_else_in_them_are_good(name: str) -> None:
    assert not imitates_staff(name)
