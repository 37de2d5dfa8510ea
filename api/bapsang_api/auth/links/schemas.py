"""Wire shapes of one-time links."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from bapsang_api.auth.links.issue import BAD_LINK
from bapsang_api.auth.schemas import PresentedEmail, PresentedPassword
from bapsang_api.http.validation import spelled
from bapsang_api.http.wire import Wire
from bapsang_api.users.schemas import Email, Password

_TOKEN: Final = "[A-Za-z0-9_-]{43}"  # noqa: S105 - a pattern: 256 bits in base64
LinkToken = Annotated[
    str,
    AfterValidator(spelled(_TOKEN, 43, BAD_LINK)),
    Field(json_schema_extra={"pattern": f"^{_TOKEN}$"}, examples=["Jx2Kq0cVf8m1Zy6wTn3RbLs5Ud7Hg9Pa4Eo_Qi-XvCk"]),
]


class ResetRequest(Wire):
    """The address that a link is asked for. Not checked against the rules of sign-up, as at login."""

    email: PresentedEmail


class PasswordReset(Wire):
    """A link, and the new password by the rule of sign-up."""

    token: LinkToken
    password: Password


class LinkUse(Wire):
    """A link."""

    token: LinkToken


class AddressChange(Wire):
    """The new address, and the caller's password."""

    email: Email
    password: PresentedPassword
