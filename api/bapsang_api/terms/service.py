"""The pages, rendered once at start: they change only with a release or a setting."""

import re
from typing import Final

from bapsang_api.pages.layout import Layout

_SINCE: Final = re.compile(r'<p class="dates">시행일 <time datetime="(\d{4}-\d\d-\d\d)">')
_HERE: Final = "bapsang_api.terms"


class Pages:
    """Both pages, ready to be sent. `originals_days`: for how long what people have uploaded is kept."""

    def __init__(self, layout: Layout, *, originals_days: int) -> None:
        originals = str(originals_days)
        self.terms_of_service = layout.page(_HERE, "terms-of-service", "이용약관", originals=originals)
        self.privacy_policy = layout.page(_HERE, "privacy-policy", "개인정보 처리방침", originals=originals)
        # A version is named by the day from which it is in force.
        self.terms_version, self.privacy_version = map(_version_of, (self.terms_of_service, self.privacy_policy))


def _version_of(page: bytes) -> str:
    found = _SINCE.search(page.decode())
    assert found is not None  # noqa: S101 - each page says so, and a test reads it
    return found[1]
