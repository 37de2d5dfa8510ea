"""Puts the body of a page into the layout. Pages are rendered once at start: they change only with a release or a setting."""

from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

STYLE_SHEET: Final = files("bapsang_api.pages").joinpath("static", "bapsang.css").read_bytes()


class Layout:
    """The head, header and footer of every page. `operator` and `contact` are who runs this community."""

    def __init__(self, *, operator: str, contact: str) -> None:
        self._names = {"operator": escape(operator), "contact": escape(contact)}

    def page(self, package: str, name: str, title: str, **values: str) -> bytes:
        """Return the page with the body `pages/{name}.html` of a package. `values` are inserted as they are: escaped text, or HTML."""
        body = self.part(package, name, **values)
        return _filled("bapsang_api.pages", "layout.html", {**self._names, "title": title, "body": body}).encode()

    def part(self, package: str, name: str, **values: str) -> str:
        """Return `pages/{name}.html` of a package, to be inserted into a page."""
        return _filled(package, f"pages/{name}.html", {**self._names, **values})


def _filled(package: str, path: str, values: Mapping[str, str]) -> str:
    return Template(files(package).joinpath(path).read_text("utf-8")).substitute(values)
