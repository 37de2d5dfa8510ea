"""HTTP route of the feed."""

from email.utils import format_datetime
from typing import Annotated, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from bapsang_api.feed.service import FRESH, FeedService
from bapsang_api.http.access import provided
from bapsang_api.http.content import etag_of
from bapsang_api.http.wire import problems

router = APIRouter(tags=["feed"])
Feeds = Annotated[FeedService, provided(FeedService)]
_TYPE: Final = "application/atom+xml"
_CACHE: Final = f"public, max-age={int(FRESH.total_seconds())}"


_CONTENT: Final = {_TYPE: {"schema": {"type": "string"}, "example": '<feed xmlns="http://www.w3.org/2005/Atom"/>'}}


@router.get("/feed.xml", response_class=Response, responses={200: {"content": _CONTENT}, **problems()})
async def read_feed(request: Request, feeds: Feeds) -> Response:
    """Read the newest 50 posts as an Atom feed. Answers 304 to `If-Modified-Since` as well."""
    feed = await feeds.current()
    modified = format_datetime(feed.last_change, usegmt=True)
    headers = {"Last-Modified": modified, "Cache-Control": _CACHE}
    # An ETag says more and goes first (RFC 9110, 13.2.2). The time is compared as text: where the last post was deleted, it
    # goes back.
    if "if-none-match" not in request.headers and request.headers.get("if-modified-since") == modified:
        return Response(status_code=304, headers={**headers, "ETag": etag_of(feed.body).decode()})
    return Response(feed.body, headers=headers, media_type=_TYPE)
