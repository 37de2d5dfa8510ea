"""HTTP route of the feed."""

from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bapsang_api.feed.service import FRESH, FeedService
from bapsang_api.kit.inject import provided
from bapsang_api.kit.wire import problems

router = APIRouter(tags=["feed"])
Feeds = Annotated[FeedService, provided(FeedService)]
_TYPE: Final = "application/atom+xml"
_CACHE: Final = f"public, max-age={int(FRESH.total_seconds())}"


@router.get(
    "/feed.xml",
    response_class=Response,
    responses={200: {"content": {_TYPE: {}}}, 304: {"description": "Nothing new"}, **problems()},
)
async def read_feed(request: Request, feeds: Feeds) -> Response:
    """Read the newest 50 posts as an Atom feed. Answers 304 to whoever has them already."""
    feed = await feeds.current()
    headers = {
        "ETag": feed.etag,
        "Last-Modified": format_datetime(feed.last_change, usegmt=True),
        "Cache-Control": _CACHE,
    }
    if _has_it(request, headers):
        return Response(status_code=304, headers=headers)
    return Response(feed.body, headers=headers, media_type=_TYPE)


def _has_it(request: Request, headers: dict[str, str]) -> bool:
    known = request.headers.get("if-none-match")
    if known is None:
        # Compared as text: where the last post was deleted, the time of the last change goes back.
        return request.headers.get("if-modified-since") == headers["Last-Modified"]
    return headers["ETag"] in {tag.strip().removeprefix("W/") for tag in known.split(",")} or known.strip() == "*"
