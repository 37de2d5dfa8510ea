"""The pages, rendered once at start: they change only with a release or a setting."""

import re
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

_SINCE: Final = re.compile(r'<p class="dates">시행일 <time datetime="(\d{4}-\d\d-\d\d)">')
_HERE: Final = files("bapsang_api.terms")


class Pages:
    """Both pages and their style sheet, ready to be sent.

    `operator` and `contact` are who runs this community, `originals_days` for how long it keeps what people have uploaded.
    """

    def __init__(self, *, operator: str, contact: str, originals_days: int) -> None:
        self._names = {"operator": escape(operator), "contact": escape(contact), "originals": str(originals_days)}
        self.terms_of_service = self._render("terms-of-service", "이용약관")
        self.privacy_policy = self._render("privacy-policy", "개인정보 처리방침")
        # A version is named by the day from which it is in force.
        self.terms_version, self.privacy_version = map(_version_of, (self.terms_of_service, self.privacy_policy))
        self.style_sheet = _HERE.joinpath("static", "bapsang.css").read_bytes()

    def _render(self, name: str, title: str) -> bytes:
        body = _template(name).substitute(self._names)
        return _template("layout").substitute(self._names, title=title, body=body).encode()


def _version_of(page: bytes) -> str:
    found = _SINCE.search(page.decode())
    assert found is not None  # noqa: S101 - each page says so, and a test reads it
    return found[1]


def _template(name: str) -> Template:
    return Template(_HERE.joinpath("pages", f"{name}.html").read_text("utf-8"))
