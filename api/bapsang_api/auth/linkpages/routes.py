"""HTTP routes of the pages that the links in letters lead to, and of their script."""

from typing import Annotated, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.auth.linkpages.service import LinkPages
from bapsang_api.http.access import provided
from bapsang_api.pages.routes import text

router = APIRouter(tags=["auth"])
Pages = Annotated[LinkPages, provided(LinkPages)]

_PAGE_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Language": "ko",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Robots-Tag": "noindex",
}
_PAGE: Final = text("text/html")
_PAGE[200]["headers"] = {
    "X-Robots-Tag": {"description": "Search engines leave it out.", "schema": {"type": "string"}, "example": "noindex"}
}
# Revalidated each time: a script of another release than its page would not find what it fills.
_SCRIPT_HEADERS: Final = {"Cache-Control": "public, no-cache"}


@router.get("/verify-email", response_class=Response, responses=_PAGE)
async def read_verify_email(pages: Pages) -> Response:
    """Return the page that verifies an e-mail by the link that was sent to it."""
    return _page(pages.verify_email)


@router.get("/reset-password", response_class=Response, responses=_PAGE)
async def read_reset_password(pages: Pages) -> Response:
    """Return the page that sets a new password by a link."""
    return _page(pages.reset_password)


@router.get("/confirm-address", response_class=Response, responses=_PAGE)
async def read_confirm_address(pages: Pages) -> Response:
    """Return the page that makes the e-mail that a link was sent to the account's."""
    return _page(pages.confirm_address)


@router.get("/static/link.js", response_class=Response, responses=text("text/javascript"))
async def read_link_script(pages: Pages) -> Response:
    """Return the script of the pages of links."""
    return Response(pages.script, headers=_SCRIPT_HEADERS, media_type="text/javascript")


def _page(content: bytes) -> Response:
    return Response(content, headers=_PAGE_HEADERS, media_type="text/html")
