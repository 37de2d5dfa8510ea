"""HTTP routes of the term pages and their style sheet. They are the same for everybody and may be kept by every cache."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.access import provided
from bapsang_api.http.wire import API
from bapsang_api.terms.service import Pages

router = APIRouter(tags=["terms"])
Terms = Annotated[Pages, provided(Pages)]

_PAGE_HEADERS: Final = {
    "Cache-Control": "public, max-age=300",
    "Content-Language": "ko",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}
_STYLE_HEADERS: Final = {"Cache-Control": "public, max-age=3600"}


def _answers(media_type: str) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}


@router.get(f"{API}/terms-of-service", response_class=Response, include_in_schema=False)
@router.get("/terms-of-service", response_class=Response, responses=_answers("text/html"))
async def read_terms_of_service(terms: Terms) -> Response:
    """Return the terms of service (이용약관) as a page."""
    return _page(terms.terms_of_service)


@router.get(f"{API}/privacy-policy", response_class=Response, include_in_schema=False)
@router.get("/privacy-policy", response_class=Response, responses=_answers("text/html"))
async def read_privacy_policy(terms: Terms) -> Response:
    """Return the privacy policy (개인정보 처리방침) as a page."""
    return _page(terms.privacy_policy)


@router.get("/static/bapsang.css", response_class=Response, responses=_answers("text/css"))
async def read_style_sheet(terms: Terms) -> Response:
    """Return the style sheet of the pages."""
    return Response(terms.style_sheet, headers=_STYLE_HEADERS, media_type="text/css")


def _page(content: bytes) -> Response:
    return Response(content, headers=_PAGE_HEADERS, media_type="text/html")
