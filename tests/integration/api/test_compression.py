"""Bodies in the codings that clients take: the same for everybody once unpacked, by libraries that did not pack them."""

import gzip
from collections.abc import Callable

import brotli
import httpx
import pytest
import zstandard

from bapsang_api.http import content

from .world import API, Person, World

UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "zstd": lambda packed: zstandard.ZstdDecompressor().decompressobj().decompress(packed),
    "br": brotli.decompress,
    "gzip": gzip.decompress,
}
BROWSER = "gzip, deflate, br, zstd"


async def sent(
    world: World, person: Person, path: str, accepted: str, method: str = "GET"
) -> tuple[dict[str, str], bytes]:
    """Return headers and bytes of an answer as they are sent."""
    headers = {**person.headers, "Accept-Encoding": accepted}
    async with (
        httpx.AsyncClient(transport=httpx.ASGITransport(world.runtime.app), base_url="http://test") as client,
        client.stream(method, f"{API}{path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        return dict(answer.headers), b"".join([part async for part in answer.aiter_raw()])


@pytest.fixture
async def reader(world: World) -> Person:
    person = await world.person()
    for number in range(5):
        post_id = await person.write_post(f"밥상 {number}", "된장찌개와 달걀말이, 그리고 갓 지은 밥 한 공기. " * 20)
        await person.write_comment(post_id, "맛있겠다! 레시피도 알려 주세요. " * 20)
    return person


@pytest.fixture
async def paths(reader: Person) -> list[str]:
    post_id = (await reader.get("/posts")).json()["items"][0]["postId"]
    return ["/posts", f"/posts/{post_id}", f"/posts/{post_id}/comments", "/users/me/posts"]


@pytest.mark.parametrize("coding", UNPACK)
async def test_a_client_gets_what_it_takes(world: World, reader: Person, paths: list[str], coding: str) -> None:
    for path in paths:
        plain, body = await sent(world, reader, path, "identity")
        packed_headers, packed = await sent(world, reader, path, coding)
        assert packed_headers["content-encoding"] == coding
        assert UNPACK[coding](packed) == body
        assert int(packed_headers["content-length"]) == len(packed) < len(body) / 2
        assert "content-encoding" not in plain
        assert plain["etag"] == packed_headers["etag"]
        assert {header["vary"] for header in (plain, packed_headers)} == {"Authorization, Origin, Accept-Encoding"}
        head, nothing = await sent(world, reader, path, coding, "HEAD")
        assert (int(head["content-length"]), nothing) == (len(packed), b"")


@pytest.mark.parametrize(
    ("accepted", "kept", "once"),
    [
        (BROWSER, "zstd", "zstd"),
        ("gzip, deflate, br", "br", "gzip"),  # Safari's
        ("GZIP;q=0.5", "gzip", "gzip"),
        ("zstd;q=0, br; q=0.0, gzip", "gzip", "gzip"),
        ("", None, None),
        ("deflate", None, None),
        ("*", None, None),
        ("identity;q=1, *;q=0", None, None),
        ("zstd;q=0", None, None),
        (", ".join(["x"] * 2_000 + ["gzip"]), "gzip", "gzip"),
    ],
)
async def test_of_what_it_takes_it_gets_what_is_cheapest(
    world: World, reader: Person, paths: list[str], accepted: str, kept: str | None, once: str | None
) -> None:
    assert (await sent(world, reader, paths[0], accepted))[0].get("content-encoding") == kept
    assert (await sent(world, reader, paths[1], accepted))[0].get("content-encoding") == once


async def test_what_is_small_or_has_no_body_is_sent_as_it_is(world: World, reader: Person, paths: list[str]) -> None:
    assert "content-encoding" not in (await sent(world, reader, "/users/me", BROWSER))[0]
    etag = (await sent(world, reader, paths[0], BROWSER))[0]["etag"]
    headers = {**reader.headers, "Accept-Encoding": BROWSER, "If-None-Match": etag}
    unchanged = await reader.http.get(f"{API}{paths[0]}", headers=headers)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert "content-encoding" not in unchanged.headers


async def test_a_list_is_compressed_once_for_all_its_readers(
    world: World, reader: Person, paths: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[int] = []
    pack = content._CODINGS[b"zstd"]
    monkeypatch.setitem(content._CODINGS, b"zstd", lambda plain: packed.append(len(plain)) or pack(plain))  # type: ignore[func-returns-value]
    for _ in range(10):
        await sent(world, reader, paths[0], BROWSER)
        await sent(world, reader, paths[2], BROWSER)
    assert len(packed) <= 2 + 2  # once more if one of them was read again meanwhile
