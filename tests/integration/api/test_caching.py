"""ETags, what may be kept by whom, HEAD, and the headers that keep browsers from doing harm."""

import pytest

from .world import API, Person, World, assert_problem


async def known(person: Person, path: str, etag: str) -> int:
    answer = await person.http.get(f"{API}{path}", headers={**person.headers, "If-None-Match": etag})
    return answer.status_code


async def test_what_the_client_has_is_not_sent_again(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    for path in ("/posts", f"/posts/{post_id}", "/users/me", "/users/me/sessions"):
        etag = (await alice.get(path)).headers["ETag"]
        assert etag.startswith('W/"')
        for sent in (etag, etag.removeprefix("W/"), f'"other", {etag}', "*"):
            answer = await alice.http.get(f"{API}{path}", headers={**alice.headers, "If-None-Match": sent})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["ETag"] == etag
            assert answer.headers["Cache-Control"] == "private, no-cache"
            assert not {"content-length", "content-type"} & set(answer.headers)
        assert await known(alice, path, '"other"') == 200


async def test_a_change_changes_the_tag(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    path = f"/posts/{post_id}"
    etag = (await alice.get(path)).headers["ETag"]
    await alice.toggle(post_id)
    assert await known(alice, path, etag) == 200
    bob = await world.person()
    assert (await bob.get(path)).headers["ETag"] != (await alice.get(path)).headers["ETag"]  # only one likes it


async def test_nobody_in_between_may_keep_an_answer(file_world: World) -> None:
    alice = await file_world.person()
    post_id = await alice.write_post()
    for path in ("/posts", f"/posts/{post_id}", "/users/me"):
        headers = (await alice.get(path)).headers
        assert headers["Cache-Control"] == "private, no-cache"
        assert headers["Vary"] == "Authorization, Origin"
    for answer in (await alice.get("/nope"), await file_world.http.get(f"{API}/users/me")):
        assert answer.headers["Cache-Control"] == "no-store"
    health = await file_world.http.get(f"{API}/health")
    assert ("ETag" in health.headers, health.headers["Cache-Control"]) == (False, "no-store")


async def test_head_is_get_without_the_body(file_world: World) -> None:
    alice = await file_world.person()
    post_id = await alice.write_post()
    for path in (f"{API}/posts", f"{API}/posts/{post_id}", f"{API}/health", "/openapi.json"):
        head, get = await file_world.http.head(path), await file_world.http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("Content-Type", "Content-Length"):
            assert head.headers[name] == get.headers[name]
    missing = await file_world.http.head(f"{API}/posts/nope")
    assert (missing.status_code, missing.content) == (404, b"")
    for path, methods in (("/health", "GET, HEAD"), ("/users/me", "GET, HEAD, PATCH")):
        refused = await file_world.http.delete(f"{API}{path}")
        assert_problem(refused, 405, "E405-1")
        assert refused.headers["Allow"] == methods


async def test_no_answer_loads_anything_or_is_framed(file_world: World, subtests: pytest.Subtests) -> None:
    for path in (f"{API}/posts", f"{API}/nope", f"{API}/health", "/openapi.json"):
        with subtests.test(path=path):
            headers = (await file_world.http.get(path)).headers
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
