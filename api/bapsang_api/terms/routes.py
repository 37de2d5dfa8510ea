"""HTTP routes of the term pages. They are the same for everybody and may be kept by every cache."""

from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from bapsang_api.http.access import provided
from bapsang_api.http.wire import API, Wire, json_response
from bapsang_api.pages.routes import text
from bapsang_api.terms.service import Pages

router = APIRouter(tags=["terms"])
TermPages = Annotated[Pages, provided(Pages)]

_PAGE_HEADERS: Final = {
    "Cache-Control": "public, max-age=300",
    "Content-Language": "ko",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
}


class DocumentInForce(Wire):
    """A document in the version that is in force."""

    version: str = Field(examples=["2026-12-01"])
    path: str


class TermsInForce(Wire):
    """What somebody agrees to at sign-up. A version is the day from which it is in force."""

    terms_of_service: DocumentInForce
    privacy_policy: DocumentInForce


@router.get(f"{API}/terms-of-service", response_class=Response, include_in_schema=False)
@router.get("/terms-of-service", response_class=Response, responses=text("text/html"))
async def read_terms_of_service(terms: TermPages) -> Response:
    """Return the terms of service (이용약관) as a page."""
    return _page(terms.terms_of_service)


@router.get(f"{API}/privacy-policy", response_class=Response, include_in_schema=False)
@router.get("/privacy-policy", response_class=Response, responses=text("text/html"))
async def read_privacy_policy(terms: TermPages) -> Response:
    """Return the privacy policy (개인정보 처리방침) as a page."""
    return _page(terms.privacy_policy)


@router.get(f"{API}/terms", response_model=TermsInForce)
async def read_versions(terms: TermPages) -> Response:
    """Return which versions of the documents are in force, for the consent at sign-up."""
    answer = TermsInForce(
        terms_of_service=DocumentInForce(version=terms.terms_version, path="/terms-of-service"),
        privacy_policy=DocumentInForce(version=terms.privacy_version, path="/privacy-policy"),
    )
    response = json_response(answer)
    response.headers["Cache-Control"] = _PAGE_HEADERS["Cache-Control"]
    return response


def _page(content: bytes) -> Response:
    return Response(content, headers=_PAGE_HEADERS, media_type="text/html")
