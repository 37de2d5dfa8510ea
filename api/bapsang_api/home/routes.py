"""HTTP routes of people as others see them, and of the lists that somebody has for themselves."""

from typing import Annotated, Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.home.lists import HomeLists
from bapsang_api.home.schemas import PeoplePage, Profile
from bapsang_api.home.service import PeopleService
from bapsang_api.home.wire import page_of, profile_of
from bapsang_api.http.access import (
    TOKEN_NEEDED,
    TOKEN_OPTIONAL,
    CurrentPrincipal,
    OptionalPrincipal,
    provided,
    required_caller_of,
)
from bapsang_api.http.answers import Answer, json_answer
from bapsang_api.http.direct import Services, direct
from bapsang_api.http.paging import PageQuery, RequestedPage, query_of
from bapsang_api.http.request import Request
from bapsang_api.http.wire import API, json_bytes, json_response, problems
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.posts.schemas import PostPage
from bapsang_api.uploads.service import ImageService

router = APIRouter(prefix=f"{API}/users/{{user_id}}", tags=["people"])
mine_router = APIRouter(prefix=f"{API}/users/me", tags=["people"])
bookmark_router = APIRouter(prefix=f"{API}/posts/{{post_id}}/bookmark", tags=["people"])
Images = Annotated[ImageService, provided(ImageService)]
Lists = Annotated[HomeLists, provided(HomeLists)]
People = Annotated[PeopleService, provided(PeopleService)]

_PAGE: Final[dict[str, Any]] = {"responses": problems(400, 401, 404), "openapi_extra": TOKEN_OPTIONAL}
_MINE: Final[dict[str, Any]] = {"responses": problems(400, 401), "openapi_extra": TOKEN_NEEDED}
_DONE: Final[dict[str, Any]] = {"status_code": 204, "response_class": Response, "openapi_extra": TOKEN_NEEDED}
_ADDED: Final[dict[str, Any]] = {**_DONE, "responses": problems(400, 401, 404, 409)}
_ENDED: Final[dict[str, Any]] = {**_DONE, "responses": problems(400, 401, 404)}


@direct(mine_router, "GET", path="/home", query=PageQuery, response_model=PostPage, **_MINE)
async def read_home(request: Request, services: Services, _: str) -> Answer:
    """List the posts of the caller and of those whom they follow and have not muted, newest first."""
    principal = required_caller_of(request, services)
    query = query_of(PageQuery, request.query)
    lists: HomeLists = services[HomeLists]
    return json_answer(await lists.home_feed(principal.user_id, query.start, query.most))


@mine_router.get("/bookmarks", response_model=PostPage, **_MINE)
async def list_bookmarks(principal: CurrentPrincipal, lists: Lists, paging: RequestedPage) -> Response:
    """List the posts that the caller keeps, the last kept first; not those that they do not see any more."""
    return json_bytes(await lists.bookmarked(principal.user_id, paging.start, paging.most))


@mine_router.get("/blocks", response_model=PeoplePage, **_MINE)
async def list_blocks(principal: CurrentPrincipal, people: People, images: Images, paging: RequestedPage) -> Response:
    """List the people whom the caller has blocked, the last ones first."""
    return json_response(page_of(await people.blocked(principal.user_id, paging.start, paging.most), images))


@mine_router.get("/mutes", response_model=PeoplePage, **_MINE)
async def list_mutes(principal: CurrentPrincipal, people: People, images: Images, paging: RequestedPage) -> Response:
    """List the people whom the caller has muted, the last ones first."""
    return json_response(page_of(await people.muted(principal.user_id, paging.start, paging.most), images))


@bookmark_router.put("", **{**_ADDED, "responses": problems(401, 404, 409)})
async def keep_post(post_id: str, principal: CurrentPrincipal, lists: Lists) -> Response:
    """Bookmark the post, which nobody else learns. Idempotent. At most 10,000 a person."""
    await lists.keep(principal.user_id, post_id)
    return Response(status_code=204)


@bookmark_router.delete("", **{**_ENDED, "responses": problems(401, 404)})
async def drop_post(post_id: str, principal: CurrentPrincipal, lists: Lists) -> Response:
    """Delete the bookmark, also of a post that the caller does not see any more. Idempotent."""
    await lists.drop(principal.user_id, post_id)
    return Response(status_code=204)


@router.get("", response_model=Profile, responses=problems(401, 404), openapi_extra=TOKEN_OPTIONAL)
async def read_person(user_id: str, principal: OptionalPrincipal, people: People, images: Images) -> Response:
    """Return somebody's page. It is not there (404) for two of whom one has blocked the other, nor once its owner has left."""
    return json_response(profile_of(await people.profile(user_id, _viewer(principal)), images))


@router.get("/posts", response_model=PostPage, **_PAGE)
async def list_person_posts(
    user_id: str, principal: OptionalPrincipal, lists: Lists, paging: RequestedPage
) -> Response:
    """List the posts of somebody, newest first."""
    viewer_id = _viewer(principal)
    return json_bytes(await lists.written_by(user_id, viewer_id, paging.start, paging.most))


@router.get("/followers", response_model=PeoplePage, **_PAGE)
async def list_followers(
    user_id: str, principal: OptionalPrincipal, people: People, images: Images, paging: RequestedPage
) -> Response:
    """List those who follow somebody, the last ones first; not whom the caller has blocked or muted, or is blocked by."""
    viewer_id = _viewer(principal)
    return json_response(page_of(await people.followers(user_id, viewer_id, paging.start, paging.most), images))


@router.get("/following", response_model=PeoplePage, **_PAGE)
async def list_following(
    user_id: str, principal: OptionalPrincipal, people: People, images: Images, paging: RequestedPage
) -> Response:
    """List those whom somebody follows, the last ones first; not whom the caller has blocked or muted, or is blocked by."""
    viewer_id = _viewer(principal)
    return json_response(page_of(await people.followed(user_id, viewer_id, paging.start, paging.most), images))


@router.put("/follow", **_ADDED)
async def follow_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """Follow somebody, who is told of it. Idempotent. At most 2,000 a person."""
    await people.follow(principal.user_id, user_id)
    return Response(status_code=204)


@router.delete("/follow", **_ENDED)
async def unfollow_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """Follow somebody no more. Idempotent."""
    await people.unfollow(principal.user_id, user_id)
    return Response(status_code=204)


@router.put("/block", **_ADDED)
async def block_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """Block somebody: neither sees anything of the other from now on, and none follows the other any more. Idempotent."""
    await people.block(principal.user_id, user_id)
    return Response(status_code=204)


@router.delete("/block", **_ENDED)
async def unblock_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """End the caller's block. Idempotent. Who followed whom is not brought back."""
    await people.unblock(principal.user_id, user_id)
    return Response(status_code=204)


@router.put("/mute", **_ADDED)
async def mute_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """Mute somebody: the caller's lists have nothing of them from now on, and they do not learn of it. Idempotent."""
    await people.mute(principal.user_id, user_id)
    return Response(status_code=204)


@router.delete("/mute", **_ENDED)
async def unmute_person(user_id: str, principal: CurrentPrincipal, people: People) -> Response:
    """Bring somebody back to the caller's lists. Idempotent."""
    await people.unmute(principal.user_id, user_id)
    return Response(status_code=204)


def _viewer(principal: Principal | None) -> str | None:
    return None if principal is None else principal.user_id
