"""The pages of one-time links, rendered once at start."""

from importlib.resources import files
from typing import Final

from bapsang_api.auth.cookies import PREFIX
from bapsang_api.pages.layout import Layout
from bapsang_api.users.schemas import PASSWORD_RULE

_HERE: Final = "bapsang_api.auth.linkpages"


class LinkPages:
    """The three pages and their script, ready to be sent. A page is the same for everybody: only the script sees a token."""

    def __init__(self, layout: Layout) -> None:
        def page(name: str, title: str, endpoint: str, **values: str) -> bytes:
            own = layout.part(_HERE, name, **values)
            return layout.page(_HERE, "frame", title, own=own, endpoint=f"{PREFIX}/{endpoint}")

        self.verify_email = page("verify-email", "이메일 주소 확인", "email-verifications")
        self.confirm_address = page("confirm-address", "새 이메일 주소 확인", "email-changes")
        self.reset_password = page(
            "reset-password", "새 비밀번호 정하기", "password-resets/confirm", rule=PASSWORD_RULE
        )
        self.script = files(_HERE).joinpath("static", "link.js").read_bytes()
