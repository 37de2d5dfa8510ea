"""Direct routes: whatever is unusual about a request is answered as the contract says, though no framework reads it."""

import pytest

from .world import API, World, assert_problem

NOBODY = "0" * 26
#: Queries of a list, and the field that is refused.
QUERIES = {
    "": None,
    "?size=3": None,
    "?size=&cursorId=&cursorCreatedAt=": None,
    "?{cursor}": None,
    "?size=100&{cursor}": None,
    "?{cursor}%2B09:00": None,
    "?size=0": "size",
    "?size=101": "size",
    "?size=x": "size",
    "?size=٣": "size",
    "?size=-1": "size",
    "?size=" + "9" * 5_000: "size",
    "?size=x&size=4": None,  # the last counts
    "?size=4&size=x": "size",
    "?cursorId={id}": None,  # ignored without its time
    "?cursorCreatedAt=yesterday": "cursorCreatedAt",
    "?cursorId=x&cursorCreatedAt={at}": "cursorId",
    "?cursor_id=x&cursor_created_at=yesterday": None,  # unknown
    "?unknown=1": None,
    "?size=2&unknown": None,
    "?size": None,
    "?&": None,
    "?cursorCreatedAt=%FF": "cursorCreatedAt",
}
TAGS = {"?tag=집밥": None, "?tag=": None, "?tag=%20": "tag", "?tag=집밥&{cursor}": None}
#: Requests below a post, by what stands behind its id: those that exist are 204 or 200 with a token, the others are not found.
PATHS = {
    ("GET", "{post}"): 200,
    ("HEAD", "{post}"): 200,
    ("GET", "{post}/comments"): 200,
    ("HEAD", "{post}/comments"): 200,
    ("POST", "{post}/likes"): 204,
    ("PUT", "{post}/likes"): 204,
    ("DELETE", "{post}/likes"): 204,
    ("PATCH", "{post}/likes"): 405,
    ("GET", "{post}/likes"): 405,
    ("PUT", "{post}"): 405,
    ("GET", NOBODY): 404,
    ("GET", "x"): 404,
    ("GET", "{post}x"): 404,
    ("GET", "{lower}"): 404,
    ("GET", ""): 404,
    ("GET", "/comments"): 404,
    ("GET", "{post}/"): 404,
    ("GET", "{post}/comments/"): 404,
    ("POST", "{post}/likes/"): 404,
    ("POST", "{post}/like"): 404,
    ("POST", f"{NOBODY}/likes"): 404,
    ("PUT", "x/likes"): 404,
    ("GET", f"{NOBODY}/comments"): 404,
    ("GET", "x/comments"): 404,
}
BAD_TOKENS = ({"Authorization": "Bearer x"}, {"Authorization": "Basic x"}, {"Authorization": ""})


async def test_queries_of_lists_are_read_as_the_contract_says(world: World) -> None:
    alice = await world.person()
    posts = [await alice.write_post(f"밥상 {number}") for number in range(5)]
    for number in range(5):
        await alice.write_comment(posts[0], f"{number}")
    for path, queries in (("", QUERIES | TAGS), (f"/{posts[0]}/comments", QUERIES)):
        second = (await world.http.get(f"{API}/posts{path}", params={"size": 2})).json()["nextCursor"]
        cursor = f"cursorId={second['id']}&cursorCreatedAt={second['createdAt']}"
        for query, refused in queries.items():
            given = query.format(cursor=cursor, id=second["id"], at=second["createdAt"])
            answer = await world.http.get(f"{API}/posts{path}{given}")
            if refused is None:
                assert answer.status_code == 200, given
            else:
                assert_problem(answer, 400, "E400-1")
                assert [error["field"] for error in answer.json()["errors"]] == [refused], given
            for token in BAD_TOKENS:  # refused before what is wrong with the query
                assert (await world.http.get(f"{API}/posts{path}{given}", headers=token)).status_code == 401, given


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_paths_below_posts_are_those_of_the_contract(file_world: World, method: str, path: str) -> None:
    alice = await file_world.person()
    post_id = await alice.write_post()
    url, status = f"{API}/posts/{path.format(post=post_id, lower=post_id.lower())}", PATHS[method, path]
    answer = await file_world.http.request(method, url, headers=alice.headers)
    assert answer.status_code == status
    assert method != "HEAD" or (int(answer.headers["content-length"]), answer.content) > (0, b"")
    known = status in (200, 204) or path.startswith((NOBODY, "x", "{lower}", "{post}x"))
    for token in BAD_TOKENS:
        refused = await file_world.http.request(method, url, headers=token)
        assert refused.status_code == (401 if known else status), token
