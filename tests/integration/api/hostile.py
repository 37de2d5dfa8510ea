"""Ten thousand requests that are made to fill a process's memory, and how much of it they leave in use.

A program of its own, run by `test_hostile_input.py` with the settings in its environment: memory is counted for a whole process.
It prints one JSON object: the statuses by kind of request, and the resident bytes before and after.
"""

import asyncio
import base64
import itertools
import json
import os
import resource
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from argon2 import PasswordHasher
from starlette.types import ASGIApp, Message
from ulid import ULID

from bapsang_api.auth import passwords
from bapsang_api.runtime import running
from bapsang_api.settings import Settings

API = "/api/v1"
MEGABYTE = 1024 * 1024 - 300  # the body with it is just below its limit
POSTS = 50
ALICE = {"email": "alice@example.com", "password": "Bapsang-2026!", "nickname": "alice"}
AT_ONCE = 20


@dataclass(frozen=True)
class Shot:
    """What the requests of a kind differ in: a number from 0, and a word that nobody has sent before."""

    number: int
    word: str
    own: dict[str, str]  # the header that says who it is
    post_id: str

    def long(self, characters: int) -> str:
        return self.word.ljust(characters, "a")

    def one_of(self, *names: str) -> str:
        return names[self.number % len(names)]


@dataclass(frozen=True)
class Request:
    """A request to be sent."""

    method: str
    path: str
    query: str = ""
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)


def _log_in(shot: Shot) -> Request:
    return Request("POST", "/auth/tokens", body={"email": shot.long(MEGABYTE), "password": "x"})


def _sign_up(shot: Shot) -> Request:
    field_name = shot.one_of("email", "password", "nickname", "profileImageKey")
    return Request("POST", "/auth/users", body={**ALICE, field_name: shot.long(MEGABYTE)})


def _post(shot: Shot) -> Request:
    body = {"title": "밥", "content": "국", shot.one_of("title", "content", "postImageKey"): shot.long(MEGABYTE)}
    return Request("POST", "/posts", body=body, headers=shot.own)


def _comment(shot: Shot) -> Request:
    body = {"content": "국", shot.one_of("content", "parentId"): shot.long(MEGABYTE)}
    return Request("POST", f"/posts/{shot.post_id}/comments", body=body, headers=shot.own)


def _presign(shot: Shot) -> Request:
    body = {"fileName": shot.long(MEGABYTE), "contentType": "image/png", "fileSizeByte": 1, "category": "OTHER"}
    return Request("POST", "/uploads/presign", body=body, headers=shot.own)


def _headers(shot: Shot) -> Request:
    name = shot.one_of("idempotency-key", "x-forwarded-for", "if-none-match", "cookie", "authorization")
    return Request("POST" if name == "idempotency-key" else "GET", "/posts", headers={name: shot.long(MEGABYTE)})


def _page_of_100(shot: Shot) -> Request:
    return Request("GET", "/posts", f"size=100&cursorCreatedAt=2099-01-01T00:00:00.{shot.number:06}")


def _page(shot: Shot) -> Request:
    cursor = f"cursorId={ULID()}&cursorCreatedAt=2026-01-01T00:00:00.{shot.number:06}"
    return Request("GET", "/posts", f"size=2&{cursor}")


def _query(shot: Shot) -> Request:
    return Request("GET", "/posts", f"size=2&{shot.long(200 if shot.number % 2 else 7_900)}=1")


def _tag(shot: Shot) -> Request:
    return Request("GET", "/posts", f"tag={shot.word}")


def _prefix(shot: Shot) -> Request:
    return Request("GET", "/tags", f"prefix={shot.word}")


def _search(shot: Shot) -> Request:
    return Request("GET", "/search/posts", f"q={shot.word}")


def _email(shot: Shot) -> Request:
    return Request("GET", "/auth/email", f"email={quote(shot.word.ljust(shot.number % 400, '가'))}@example.com")


def _wrong_login(shot: Shot) -> Request:
    return Request("POST", "/auth/tokens", body={"email": shot.long(1_000), "password": "x" * 80})


def _refresh(shot: Shot) -> Request:
    return Request("POST", "/auth/refresh", headers={"cookie": f"refreshToken={shot.long(10 * shot.number)}"})


def _log_out(shot: Shot) -> Request:
    headers = {"cookie": f"refreshToken={shot.word}", "authorization": f"Bearer {shot.word}"}
    return Request("POST", "/auth/logout", headers=headers)


def _token(shot: Shot) -> Request:
    head = base64.urlsafe_b64encode(json.dumps({"kid": shot.long(shot.number)}).encode()).decode()
    return Request("GET", "/posts", headers={"authorization": f"Bearer {head}.e30.x"})


def _detail(shot: Shot) -> Request:
    headers = dict.fromkeys(("user-agent", "if-none-match"), shot.long(shot.number))
    return Request("GET", f"/posts/{ULID()}", headers=headers)


def _like(shot: Shot) -> Request:
    return Request("PUT", f"/posts/{ULID()}/likes", headers=shot.own)


def _path(shot: Shot) -> Request:
    return Request(shot.one_of("GET", "PUT", shot.word), f"/{shot.long(3_000)}")


def _key(shot: Shot) -> Request:
    return Request("POST", "/posts", body={}, headers={**shot.own, "idempotency-key": shot.long(shot.number)})


def _address(_: Shot) -> Request:
    return Request("GET", "/posts")  # each request comes from another address


#: How many of each kind: a hundred with a megabyte, then the others.
KINDS: dict[Callable[[Shot], Request], int] = {
    **{_log_in: 30, _sign_up: 20, _post: 10, _comment: 10, _presign: 10, _headers: 20},
    **{_page: 1_200, _query: 400, _tag: 500, _prefix: 50, _search: 50, _email: 200},
    **{_wrong_login: 60, _refresh: 200, _log_out: 100, _token: 800, _detail: 400, _like: 200, _path: 600, _key: 50},
    **{_address: 4_590, _page_of_100: 500},  # the large pages last, so that none pushes them out
}


@dataclass
class Attack:
    """Whoever sends all of it, each request from another address."""

    app: ASGIApp
    statuses: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    _own: dict[str, str] = field(default_factory=dict)
    _post_id: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def begin(self) -> None:
        """Sign somebody up and fill a page with posts."""
        await self._send(Request("POST", "/auth/users", body=ALICE))
        _, headers, _ = await self._send(Request("POST", "/auth/tokens", body=ALICE))
        self._own = {"authorization": headers[b"authorization"].decode()}
        for _ in range(POSTS):
            written = {"title": "밥" * 255, "content": "국"}
            _, _, body = await self._send(Request("POST", "/posts", body=written, headers=self._own))
            self._post_id = json.loads(body)["postId"]

    async def run(self, kinds: dict[Callable[[Shot], Request], int]) -> None:
        """Send so many requests of each kind, some at once."""
        for kind, count in kinds.items():
            await asyncio.gather(*(self._run(kind, range(first, count, AT_ONCE)) for first in range(AT_ONCE)))

    async def _run(self, kind: Callable[[Shot], Request], numbers: range) -> None:
        for number in numbers:
            shot = Shot(number, f"x{next(self._numbers)}", self._own, self._post_id)
            status, _, _ = await self._send(kind(shot))
            self.statuses[kind.__name__][status] += 1

    async def _send(self, request: Request) -> tuple[int, dict[bytes, bytes], bytes]:
        """Send a request to the application itself; return status, headers and body of its answer."""
        number = next(self._numbers)
        headers = {"x-forwarded-for": f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1", **request.headers}
        content = b"" if request.body is None else json.dumps(request.body).encode()
        if request.body is not None:
            headers |= {"content-type": "application/json", "content-length": str(len(content))}
        path = f"{API}{request.path}"
        scope = {
            **{"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": request.method},
            **{"scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "", "state": {}},
            "query_string": request.query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            **{"client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000)},
        }
        answers: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": content, "more_body": False}

        async def collect(message: Message) -> None:
            answers.append(message)

        await self.app(scope, receive, collect)
        body = b"".join(part.get("body", b"") for part in answers)
        return answers[0]["status"], dict(answers[0]["headers"]), body


def resident() -> int:
    """Return the bytes of memory that this process uses."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


async def main() -> None:
    passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    async with running(Settings.from_environment(os.environ)) as runtime:
        runtime.lifecycle.start()
        attack = Attack(runtime.app)
        await attack.begin()
        # What the first of each kind needs stays: code, connections, what the allocator has for bodies of a megabyte.
        await attack.run({kind: min(count, AT_ONCE) for kind, count in KINDS.items()})
        attack.statuses.clear()
        before = resident()
        await attack.run(KINDS)
        json.dump({"before": before, "after": resident(), "statuses": attack.statuses}, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
