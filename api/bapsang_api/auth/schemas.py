"""Wire shapes of sign-up and login."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bapsang_api.http.validation import at_most, present
from bapsang_api.http.wire import Wire
from bapsang_api.kit.text import RAW_PER_CHARACTER
from bapsang_api.uploads.schemas import ObjectKey
from bapsang_api.users.consent import Consent
from bapsang_api.users.schemas import LONGEST_EMAIL, LONGEST_PASSWORD, Email, NewNickname, Password

# Not checked against the rules of sign-up: what cannot be a login is simply a wrong one, and looks like any other. Only what is
# far too long is refused as such, before anything is done with it.
_MOST_EMAIL: Final = RAW_PER_CHARACTER * LONGEST_EMAIL
_MOST_PASSWORD: Final = RAW_PER_CHARACTER * LONGEST_PASSWORD
PresentedEmail = Annotated[
    str,
    AfterValidator(at_most(_MOST_EMAIL)),
    AfterValidator(present),
    Field(json_schema_extra={"minLength": 1, "maxLength": _MOST_EMAIL}, examples=["alice@example.com"]),
]
Version = Annotated[
    str, AfterValidator(at_most(10)), Field(json_schema_extra={"maxLength": 10}, examples=["2026-12-01"])
]
PresentedPassword = Annotated[
    str,
    AfterValidator(at_most(_MOST_PASSWORD)),
    AfterValidator(present),
    Field(json_schema_extra={"minLength": 1, "maxLength": _MOST_PASSWORD}, examples=["Bapsang-2026!"]),
]


class ConsentGiven(Wire):
    """What somebody agrees to: the documents in the versions that `GET /api/v1/terms` names, and being old enough."""

    terms_of_service: Version
    privacy_policy: Version
    is_fourteen_or_older: Annotated[bool, Field(strict=True)]

    def given(self) -> Consent:
        return Consent(self.terms_of_service, self.privacy_policy, self.is_fourteen_or_older)


class UserCreate(Wire):
    """A sign-up. Clients from before it was asked for send no `consent`, which is recorded as such."""

    email: Email
    password: Password
    nickname: NewNickname
    profile_image_key: ObjectKey | None = None
    consent: ConsentGiven | None = None


class UserCreated(Wire):
    """The id of a new account."""

    user_id: str


class LoginRequest(Wire):
    """A login."""

    email: PresentedEmail
    password: PresentedPassword


class PasswordCheck(Wire):
    """The caller's password, once more."""

    password: PresentedPassword


class NewPassword(Wire):
    """A new password, by the rule of sign-up. `currentPassword` is checked when it is given."""

    password: Password
    current_password: PresentedPassword | None = None


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
