"""HTTP routes of tags."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, Field
from starlette.responses import Response

from bapsang_api.http.access import TOKEN_OPTIONAL, OptionalPrincipal, provided
from bapsang_api.http.paging import SizeQuery
from bapsang_api.http.validation import empty_as_absent
from bapsang_api.http.wire import API, json_response, problems
from bapsang_api.tags.schemas import TagItem, TagList, TagName
from bapsang_api.tags.service import TagService

router = APIRouter(prefix=f"{API}/tags", tags=["posts"])
Tags = Annotated[TagService, provided(TagService)]


class TagQuery(SizeQuery):
    """The parameters of the list of tags."""

    prefix: Annotated[TagName | None, BeforeValidator(empty_as_absent)] = Field(
        default=None, description="How the tags begin; all when absent."
    )


@router.get("", response_model=TagList, responses=problems(400, 401), openapi_extra=TOKEN_OPTIONAL)
async def list_tags(_: OptionalPrincipal, tags: Tags, query: Annotated[TagQuery, Query()]) -> Response:
    """List the tags that most posts have, to be suggested to somebody who is typing one."""
    rows = await tags.popular(query.prefix or "", query.most)
    return json_response(TagList(items=[TagItem(name=row.name, post_count=row.post_count) for row in rows]))
