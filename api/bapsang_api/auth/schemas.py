"""Wire shapes of sign-up and login."""

from typing import Annotated

from pydantic import AfterValidator, Field

from bapsang_api.kit.validation import refuse, well_formed
from bapsang_api.kit.wire import Wire
from bapsang_api.users.schemas import Email, Nickname, Password


def _present(value: str) -> str:
    if not value:
        raise refuse("필수 값입니다.")
    return well_formed(value)


# Not checked against the rules of sign-up: what cannot be a login is simply a wrong one.
Presented = Annotated[str, AfterValidator(_present), Field(json_schema_extra={"minLength": 1})]


class UserCreate(Wire):
    """A sign-up."""

    email: Email
    password: Password
    nickname: Nickname
    profile_image_key: str | None = None


class UserCreated(Wire):
    """The id of a new account."""

    user_id: str


class LoginRequest(Wire):
    """A login."""

    email: Presented = Field(examples=["alice@example.com"])
    password: Presented = Field(examples=["Bapsang-2026!"])


class PasswordCheck(Wire):
    """The caller's password, once more."""

    password: Presented = Field(examples=["Bapsang-2026!"])


class NewPassword(Wire):
    """A new password, by the rule of sign-up."""

    password: Password


class Device(Wire):
    """A device that is logged in. `userAgent` is what it calls itself; `isCurrent` marks the one that asks."""

    session_id: str
    created_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
    last_used_at: str = Field(examples=["2026-11-23T10:10:12.781554"])
    user_agent: str | None
    is_current: bool


class DeviceList(Wire):
    """The devices that are logged in."""

    items: list[Device]


class LoginResponse(Wire):
    """Whom the login belongs to; the tokens are in the `Authorization` header and the cookie."""

    nickname: str
