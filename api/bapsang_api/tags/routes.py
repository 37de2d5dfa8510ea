"""HTTP routes of tags."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_OPTIONAL, OptionalPrincipal
from bapsang_api.http.inject import provided
from bapsang_api.http.paging import DEFAULT_SIZE, PageSize
from bapsang_api.http.validation import empty_as_absent
from bapsang_api.http.wire import API, json_response, problems
from bapsang_api.tags.schemas import TagItem, TagList, TagName
from bapsang_api.tags.service import TagService

router = APIRouter(prefix=f"{API}/tags", tags=["posts"])
Tags = Annotated[TagService, provided(TagService)]
Prefix = Annotated[
    TagName | None, BeforeValidator(empty_as_absent), Query(description="How the tags begin; all when absent.")
]


@router.get("", response_model=TagList, responses=problems(400, 401), openapi_extra=TOKEN_OPTIONAL)
async def list_tags(_: OptionalPrincipal, tags: Tags, prefix: Prefix = None, size: PageSize = None) -> Response:
    """List the tags that most posts have, to be suggested to somebody who is typing one."""
    rows = await tags.popular(prefix or "", size or DEFAULT_SIZE)
    return json_response(TagList(items=[TagItem(name=row.name, post_count=row.post_count) for row in rows]))
