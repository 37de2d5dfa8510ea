"""The short way gives the same answers as the framework's."""

import re
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bapsang_api.http.shortcuts import Shortcuts

from .world import API, World

_OWN = {"x-request-id", "date", "etag", "content-length"}  # the last two follow from the body


async def straight(self: Shortcuts, scope: Scope, receive: Receive, send: Send) -> None:
    await self.app(scope, receive, send)


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], Any]:
    body: Any = re.sub(rb'"viewCount":[0-9]+', b"", answer.content)  # the views are written back now and then
    if answer.headers.get("content-type") == "application/problem+json":
        body = {name: value for name, value in answer.json().items() if name != "requestId"}
    assert answer.request.method == "HEAD" or int(answer.headers.get("content-length", 0)) == len(answer.content)
    return answer.status_code, {n: v for n, v in answer.headers.items() if n not in _OWN}, body


async def test_a_shortcut_answers_what_the_framework_would(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await world.person(), await world.person()
    posts = [await alice.write_post(f"밥상 {number}") for number in range(5)]
    tagged = await alice.send("POST", "/posts", json={"title": "둘", "content": "셋", "tags": ["집밥"]})
    post_id = tagged.json()["postId"]
    await alice.toggle(post_id)  # bob's likes are toggled twice each time
    second = (await world.http.get(f"{API}/posts", params={"size": 2})).json()["nextCursor"]
    cursor = f"cursorId={second['id']}&cursorCreatedAt={second['createdAt']}"
    queries = (
        *(
            "",
            "?size=3",
            "?size=&cursorId=&cursorCreatedAt=",
            f"?{cursor}",
            f"?size=100&{cursor}",
            f"?{cursor}%2B09:00",
        ),
        *("?size=0", "?size=101", "?size=x", "?size=٣", "?size=-1", "?size=3&size=4", f"?cursorId={second['id']}"),
        *("?cursorCreatedAt=yesterday", f"?cursorId=x&cursorCreatedAt={second['createdAt']}", "?tag=집밥", "?tag="),
        *("?tag=%20", "?unknown=1", "?size=2&unknown", "?size", "?&", "?cursorCreatedAt=%FF"),
    )
    tokens: tuple[dict[str, str], ...] = (
        {},
        bob.headers,
        {"Authorization": "Bearer x"},
        {"Authorization": "Basic x"},
        {"Authorization": ""},
    )
    asked = [("GET", f"{API}/posts{query}", headers) for query in queries for headers in tokens]
    paths = (post_id, posts[0], "0" * 26, "x", "x" * 26, post_id.lower(), f"{post_id}x", f"{post_id}/", "../posts")
    asked += [("GET", f"{API}/posts/{path}", headers) for path in paths for headers in tokens]
    asked += [("HEAD", f"{API}/posts", {}), ("HEAD", f"{API}/posts/{post_id}", {}), ("GET", f"{API}/posts/", {})]
    for text in ("좋아요", "둘", "셋"):
        parent = await bob.write_comment(post_id, text)
    await alice.write_comment(post_id, parent=parent)
    oldest = (await world.http.get(f"{API}/posts/{post_id}/comments", params={"size": 2})).json()["nextCursor"]
    pages = ("", "?size=2", f"?cursorId={oldest['id']}&cursorCreatedAt={oldest['createdAt']}", "?size=0", "?tag=")
    asked += [("GET", f"{API}/posts/{path}/comments{page}", bob.headers) for path in paths[:-1] for page in pages]
    asked += [("GET", f"{API}/posts/{post_id}/comments", headers) for headers in tokens]
    asked += [("HEAD", f"{API}/posts/{post_id}/comments", {}), ("GET", f"{API}/posts/{post_id}/comments/", {})]
    likes = (f"{post_id}/likes", f"{'0' * 26}/likes", "x/likes", f"{post_id}/likes/", f"{post_id}/like")
    # The same state before each: two toggles, and what may be repeated.
    methods = ("PUT", "DELETE", "POST", "POST", "PATCH", "GET")
    asked += [(method, f"{API}/posts/{path}", headers) for path in likes for headers in tokens for method in methods]
    short = [seen(await world.http.request(method, path, headers=headers)) for method, path, headers in asked]
    monkeypatch.setattr(Shortcuts, "__call__", straight)
    long = [seen(await world.http.request(method, path, headers=headers)) for method, path, headers in asked]
    for request, by_shortcut, by_framework in zip(asked, short, long, strict=True):
        assert by_shortcut == by_framework, request
    assert {200, 204, 400, 401, 404, 405} <= {status for status, _, _ in short}
