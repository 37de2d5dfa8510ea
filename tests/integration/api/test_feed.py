"""The feed of the newest posts, as a news reader sees it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import feedparser
import httpx

from bapsang_api.feed.service import FRESH, LENGTH

from .bucket import PhotoWorld
from .world import World, make_admin


async def read(world: World, **headers: str) -> httpx.Response:
    """Return the feed as it is now, not as it was a moment ago."""
    world.clock.passed += FRESH
    return await world.http.get("/feed.xml", headers={name.replace("_", "-"): text for name, text in headers.items()})


def parsed(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    feed = feedparser.parse(answer.content, sanitize_html=False, resolve_relative_uris=False)
    assert not feed.bozo, feed.bozo_exception
    assert feed.version == "atom10"
    return feed


async def test_newest_posts_first_with_author_tags_and_times(world: World) -> None:
    alice = await world.person()
    await alice.write_post("첫 글", "국")
    body = {"title": "둘째 글", "content": "밥\n찬", "tags": ["집밥", "된장"]}
    post = (await alice.send("POST", "/posts", json=body)).json()
    answer = await read(world)
    assert answer.headers["content-type"] == "application/atom+xml"
    feed = parsed(answer)
    assert feed.feed.title == "밥상"
    second, first = feed.entries
    assert [entry.title for entry in (second, first)] == ["둘째 글", "첫 글"]
    assert second.author == alice.nickname
    assert second.content[0].value == "밥\n찬"
    assert [tag.term for tag in second.tags] == ["집밥", "된장"]
    assert second.link == f"http://localhost:8000/posts/{post['postId']}"
    assert second.published == second.updated
    await alice.send("PATCH", f"/posts/{post['postId']}", json={"title": "고친 글"})
    (changed, _) = parsed(await read(world)).entries
    assert (changed.id, changed.title, changed.published) == (second.id, "고친 글", second.published)
    assert changed.updated > changed.published


async def test_whatever_is_written_stays_text(world: World) -> None:
    alice = await world.person()
    text = "]]> <script>alert(1)</script> &amp; &lt;b&gt; <![CDATA[x]]> 🍚 'q' \"q\""
    await alice.write_post(text, f"{text}\x00\x0b\x1f\ufffe끝")
    (entry,) = parsed(await read(world)).entries
    assert entry.title_detail.type == entry.content[0].type == "text/plain"
    assert entry.title == text
    assert entry.content[0].value == f"{text}\ufffd\ufffd\ufffd\ufffd끝"


async def test_pictures_come_along(photos: PhotoWorld) -> None:
    alice = await photos.person()
    _, image = await photos.show_photo(alice)
    (entry,) = parsed(await read(photos.world)).entries
    assert [enclosure.href for enclosure in entry.enclosures] == [image["jpegUrl"]]
    assert (await photos.s3.get(image["jpegUrl"])).headers["content-type"] == "image/jpeg"


async def test_hidden_and_deleted_posts_are_not_in_it_and_old_ones_fall_out(world: World) -> None:
    alice, admin = await world.person(), await make_admin(world, await world.person())
    assert parsed(await read(world)).entries == []
    written = [await alice.write_post(f"글 {number}") for number in range(LENGTH + 3)]
    await admin.send("POST", f"/admin/posts/{written[-1]}/hide")
    await alice.send("DELETE", f"/posts/{written[-2]}")
    titles = [entry.title for entry in parsed(await read(world)).entries]
    assert titles == [f"글 {number}" for number in range(LENGTH, 0, -1)]


async def test_who_has_it_is_told_so_until_it_changes(world: World) -> None:
    alice = await world.person()
    await alice.write_post()
    first = await read(world)
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    assert first.headers["cache-control"] == "public, max-age=60"
    for known in (etag, f'"x", {etag}', "*"):
        answer = await read(world, If_None_Match=known)
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    answer = await read(world, If_Modified_Since=modified)
    assert (answer.status_code, answer.headers["etag"]) == (304, etag)
    assert (await read(world, If_None_Match='"other"', If_Modified_Since=modified)).status_code == 200
    world.clock.passed += timedelta(seconds=2)
    newest = await alice.write_post()
    for headers in ({"If_None_Match": etag}, {"If_Modified_Since": modified}):
        assert (await read(world, **headers)).status_code == 200
    changed = (await read(world)).headers["last-modified"]
    await alice.send("DELETE", f"/posts/{newest}")
    assert (await read(world, If_Modified_Since=changed)).status_code == 200


async def test_many_readers_cost_one_query_a_minute(file_world: World) -> None:
    world = file_world
    await (await world.person()).write_post()
    await read(world)
    with world.statements() as asked:
        for _ in range(5):
            assert (await world.http.get("/feed.xml")).status_code == 200
        assert asked == []
        await read(world)
    assert [statement.split()[0] for statement in asked] == ["BEGIN", "SELECT"]
