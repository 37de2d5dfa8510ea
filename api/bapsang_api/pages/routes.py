"""HTTP route of the style sheet, which every cache may store."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.pages.layout import STYLE_SHEET

router = APIRouter(tags=["pages"])
_HEADERS: Final = {"Cache-Control": "public, max-age=3600"}


def text(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return how the document names an answer that is a page, or a file of one."""
    return {200: {"content": {media_type: {"schema": {"type": "string"}}}}}


@router.get("/static/bapsang.css", response_class=Response, responses=text("text/css"))
async def read_style_sheet() -> Response:
    """Return the style sheet of the pages."""
    return Response(STYLE_SHEET, headers=_HEADERS, media_type="text/css")
