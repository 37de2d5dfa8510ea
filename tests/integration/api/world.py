"""What the API's integration tests act with: a service on a back end of its own, and people who use it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import httpx
import jwt
from sqlalchemy import event, text

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.connections import Limits
from bapsang_api.kit.security.tokens import Principal
from bapsang_api.likes.sync import LikeSync, SyncReport
from bapsang_api.runtime import Runtime, running
from bapsang_api.settings import Settings

from .conformance import Conforming

API = "/api/v1"
UNKNOWN = "01JD0000000000000000000000"  # the id of nothing
PASSWORD = "Bapsang-2026!"
# A busy machine is no dependency that is down. Tests of the limits themselves set their own.
PATIENT = {"BAPSANG_DATABASE_CONNECT_SECONDS": "10", "BAPSANG_DATABASE_STATEMENT_SECONDS": "30"}
# The error table of the contract: status, title and the words for people, by code.
PROBLEMS = {
    "E400-1": (400, "Bad Request", "입력값이 유효하지 않습니다."),
    "T001": (401, "Unauthorized", "Token is empty"),
    "T002": (401, "Unauthorized", "Access Token Expired"),
    "T003": (401, "Unauthorized", "Invalid Token"),
    "E401-1": (401, "Unauthorized", "인증되지 않은 사용자입니다."),
    "E403-1": (403, "Forbidden", "접근 권한이 없습니다."),
    "E404-1": (404, "Not Found", "해당 리소스를 찾을 수 없습니다."),
    "E405-1": (405, "Method Not Allowed", "허용되지 않는 메서드입니다."),
    "E409-1": (409, "Conflict", "데이터 충돌이 발생했습니다."),
    "E413-1": (413, "Request Entity Too Large", "요청 본문이 너무 큽니다."),
    "E415-1": (415, "Unsupported Media Type", "지원하지 않는 콘텐츠 형식입니다."),
    "E429-1": (429, "Too Many Requests", "요청이 너무 많습니다."),
    "E500-1": (500, "Internal Server Error", "서버 오류가 발생했습니다."),
    "E503-1": (503, "Service Unavailable", "일시적으로 이용할 수 없습니다."),
}


class MovableClock:
    """The machine's clock plus what a test has let pass."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._stopped: datetime | None = None
        self.passed = timedelta()

    def stop(self) -> None:
        """From here on no time passes but what a test lets pass."""
        self._stopped = self._system.now()

    def now(self) -> datetime:
        return (self._stopped or self._system.now()) + self.passed

    def seconds(self) -> float:
        return self.now().timestamp()


@dataclass(frozen=True)
class Backend:
    """A database and a Redis for one test."""

    name: str
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.environment)


@dataclass
class Person:
    """Someone with an account, logged in on one device."""

    http: httpx.AsyncClient
    email: str
    nickname: str
    user_id: str
    token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @property
    def principal(self) -> Principal:
        """Whom the token speaks for."""
        claims = jwt.decode(self.token, options={"verify_signature": False})
        return Principal(claims["sub"], claims["role"], claims["sid"], claims["num"])

    async def get(self, path: str, **options: Any) -> httpx.Response:
        headers = {**self.headers, **options.pop("headers", {})}
        return await self.http.get(f"{API}{path}", headers=headers, **options)

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request as this person; a body given as `content` is declared to be JSON."""
        headers = {**self.headers, "Content-Type": "application/json"} if "content" in options else self.headers
        return await self.http.request(method, f"{API}{path}", headers=headers, **options)

    async def picture(self) -> str | None:
        """Return the URL of the picture of the own profile."""
        url: str | None = (await self.get("/users/me")).json()["presignedProfileImageUrl"]
        return url

    async def write_post(self, title: str = "오늘의 밥상", content: str = "된장찌개") -> str:
        answer = await self.send("POST", "/posts", json={"title": title, "content": content})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["postId"])

    async def write_comment(self, post_id: str, content: str = "맛있겠다", parent: str | None = None) -> str:
        body = {"content": content} | ({} if parent is None else {"parentId": parent})
        answer = await self.send("POST", f"/posts/{post_id}/comments", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["commentId"])

    async def toggle(self, post_id: str) -> httpx.Response:
        return await self.send("POST", f"/posts/{post_id}/likes")


@dataclass
class World:
    """A running service."""

    runtime: Runtime
    http: httpx.AsyncClient
    admin: httpx.AsyncClient
    clock: MovableClock
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def person(self) -> Person:
        """Sign somebody new up and log them in."""
        number = next(self._numbers)
        email, nickname = f"person{number}@example.com", f"사람{number}"
        body = {"email": email, "password": PASSWORD, "nickname": nickname}
        created = await self.http.post(f"{API}/auth/users", json=body)
        assert created.status_code == 201, created.text
        token, refresh_token = await self.log_in(email)
        return Person(self.http, email, nickname, created.json()["userId"], token, refresh_token)

    async def log_in(self, email: str) -> tuple[str, str]:
        """Log in on a new device and return its access and refresh tokens."""
        answer = await self.http.post(f"{API}/auth/tokens", json={"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return answer.headers["Authorization"].removeprefix("Bearer "), refresh_cookie(answer)

    async def refresh(self, token: str) -> httpx.Response:
        return await self.http.post(f"{API}/auth/refresh", headers={"Cookie": f"refreshToken={token}"})

    async def log_out(self, cookie: str | None = None, token: str | None = None) -> httpx.Response:
        headers = {"Cookie": f"refreshToken={cookie}"} if cookie is not None else {}
        headers |= {"Authorization": f"Bearer {token}"} if token is not None else {}
        return await self.http.post(f"{API}/auth/logout", headers=headers)

    async def write_back(self, like_sync: LikeSync | None = None) -> SyncReport:
        """Run like-sync and return its report. MySQL may end the session of the run before, and with it the lock, only
        some moments after its connection was closed."""
        async with asyncio.timeout(20):
            while not (report := await (like_sync or self.runtime.like_sync).run()).ran:  # noqa: ASYNC110 - it is elsewhere
                await asyncio.sleep(0.05)
        return report

    async def rows(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return what a query finds in the service's database."""
        return await self.runtime.database.read(
            lambda connection: [tuple(row) for row in connection.execute(text(statement), values)]
        )

    async def change(self, statement: str, **values: Any) -> None:
        """Change the service's database behind its back."""
        await self.runtime.database.write(lambda connection: connection.execute(text(statement), values))

    async def numbers(self, people: list[Person]) -> set[str]:
        """Return the people's numbers, as Redis shows them."""
        given = dict(await self.rows("SELECT user_id, number FROM user_numbers"))
        return {str(given[person.user_id]) for person in people}

    async def liked_rows(self, post_id: str) -> int:
        return int((await self.rows("SELECT COUNT(*) FROM user_post_likes WHERE post_id = :p", p=post_id))[0][0])

    async def like_count_column(self, post_id: str) -> int:
        return int((await self.rows("SELECT like_count FROM posts WHERE id = :p", p=post_id))[0][0])

    @contextlib.contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Collect what is asked of the database, but for what a process asks twice a second of its own accord."""
        asked: list[str] = []

        def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            if "utc_timestamp" not in statement:
                asked.append(statement)

        event.listen(self.runtime.database.engine, "before_cursor_execute", note)
        try:
            yield asked
        finally:
            event.remove(self.runtime.database.engine, "before_cursor_execute", note)

    async def shown_likes(self, post_id: str) -> int:
        return int((await self.http.get(f"{API}/posts/{post_id}")).json()["stats"]["likeCount"])


@contextlib.asynccontextmanager
async def open_world(backend: Backend, *, queue_seconds: int = 5) -> AsyncIterator[World]:
    """Run a service; a crowd on a busy machine may wait longer for a connection than production lets it."""

    class Patient(Settings):
        @property
        def database_limits(self) -> Limits:
            return super().database_limits.replace(queue_seconds=queue_seconds)

    clock, settings = MovableClock(), Patient.from_environment({**PATIENT, **backend.environment})
    async with running(settings, clock=clock) as runtime:
        runtime.lifecycle.start()
        async with (
            _client(Conforming(httpx.ASGITransport(runtime.app))) as http,
            _client(httpx.ASGITransport(runtime.admin)) as admin,
        ):
            yield World(runtime, http, admin, clock)


def _client(transport: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    client = httpx.AsyncClient(transport=transport, base_url="http://testserver")
    client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return client


async def make_admin(world: World, person: Person) -> Person:
    """Give somebody the role, and a token that says so."""
    await world.change("UPDATE users SET user_role = 'ADMIN' WHERE id = :u", u=person.user_id)
    person.token, person.refresh_token = await world.log_in(person.email)
    return person


def refresh_cookie(answer: httpx.Response) -> str:
    """Return the refresh token that an answer sets."""
    name, _, value = answer.headers["Set-Cookie"].partition(";")[0].partition("=")
    assert name == "refreshToken"
    return str(value)


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is the one error body, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert list(body) == [
        *("type", "title", "status", "detail", "instance", "code", "errorCode", "message", "errors", "requestId")
    ]
    assert (body["status"], body["title"], body["message"]) == PROBLEMS[code]
    assert body["status"] == status
    assert body["code"] == body["errorCode"] == code
    assert body["type"] == f"about:blank#{code}"
    assert body["instance"] == answer.request.url.path
    assert body["requestId"] == answer.headers["x-request-id"]
    return body


async def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> None:
    """Wait until an async condition is true; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what is awaited lies in other processes
            await asyncio.sleep(0.02)
