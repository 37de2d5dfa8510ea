"""Wire shapes of accounts."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bapsang_api.http.validation import matching, refuse, spelled
from bapsang_api.http.wire import Wire
from bapsang_api.uploads.schemas import ObjectKey, ShownPhoto
from bapsang_api.users.staff import STAFF_NAME, imitates_staff

LONGEST_EMAIL: Final = 254
LONGEST_PASSWORD: Final = 20
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})+"
# Any ASCII punctuation or space counts as the special character.
_PASSWORD = r"(?=.*[A-Za-z])(?=.*[0-9])(?=.*[^A-Za-z0-9])[ -~]{8,20}"  # noqa: S105 - a pattern, not a password
PASSWORD_RULE: Final = "영문, 숫자, 특수문자를 포함한 8자 이상 20자 이하여야 합니다."  # noqa: S105 - a sentence


def _nobody_of_staff(nickname: str) -> str:
    if imitates_staff(nickname):
        raise refuse(STAFF_NAME)
    return nickname


Email = Annotated[
    str,
    AfterValidator(spelled(_EMAIL, LONGEST_EMAIL, "올바른 이메일 형식이어야 합니다.")),
    Field(json_schema_extra={"format": "email", "maxLength": LONGEST_EMAIL}, examples=["alice@example.com"]),
]
Nickname = Annotated[
    str,
    AfterValidator(matching(r"[가-힣a-zA-Z0-9]{1,10}", 10, "1자 이상 10자 이하의 한글, 영문, 숫자여야 합니다.")),
    Field(json_schema_extra={"pattern": "^[가-힣a-zA-Z0-9]{1,10}$"}, examples=["앨리스"]),
]
NewNickname = Annotated[Nickname, AfterValidator(_nobody_of_staff)]
Password = Annotated[
    str,
    AfterValidator(spelled(_PASSWORD, LONGEST_PASSWORD, PASSWORD_RULE)),
    Field(
        json_schema_extra={
            "format": "password",
            "minLength": 8,
            "maxLength": LONGEST_PASSWORD,
            "pattern": f"^{_PASSWORD}$",
        },
        examples=["Bapsang-2026!"],
    ),
]


class ProfileChange(Wire):
    """A change of the caller's own account. What is missing or null stays; an empty `profileImageKey` removes it."""

    nickname: Nickname | None = None
    profile_image_key: ObjectKey | None = None


class MyProfile(Wire):
    """The caller's own account."""

    nickname: str
    email: str
    email_verified: bool
    presigned_profile_image_url: str | None
    profile_image: ShownPhoto | None
