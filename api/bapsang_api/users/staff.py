"""Nicknames that nobody may take because readers would believe whoever runs the community: pure."""

import re
from typing import Final

#: What staff is called. Compared without case; `0` counts as `o`, and `1`, `l` and `I` are the same.
STAFF: Final = (
    *("운영자", "운영진", "운영팀", "관리자", "관리팀", "매니저", "밥상", "밥상머리", "밥상팀", "공식"),
    *("고객센터", "고객지원", "상담원", "시스템"),
    *("admin", "root", "system", "bapsang", "official", "operator", "staff", "support", "moderator", "mod", "manager"),
)
STAFF_NAME: Final = "운영자로 오해할 수 있는 닉네임은 쓸 수 없습니다."
_ALIKE: Final = {"o": "[o0]", "i": "[il1]", "l": "[il1]"}
_WORD: Final = "|".join("".join(_ALIKE.get(letter, letter) for letter in word) for word in STAFF)
# Words of the list one after the other, with digits or the honorific around them: `운영자1`, `밥상운영팀`, `관리자님`. A word that
# has anything else beside it is a name like any other: `김chef`, `modern`, `밥상차림`.
_IMITATES: Final = re.compile(rf"(?:[0-9]|님)*(?:(?:{_WORD})(?:[0-9]|님)*)+", re.IGNORECASE | re.ASCII)


def imitates_staff(nickname: str) -> bool:
    """Return whether a nickname is nothing but names of the staff, and digits."""
    return _IMITATES.fullmatch(nickname) is not None
