"""What a request of each hot route costs, counted in function calls: exactly repeatable, so that CI can hold a ceiling.

A call is one of a Python function (a coroutine's each step too) or of one written in C, in any thread; the stand-ins of the local
database and Redis are not counted. Microseconds are measured by `make bench`; this notices when somebody makes them more.
"""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from bapsang_api import runtime
from bapsang_api.auth import revocation
from bapsang_api.kit import ratelimit
from bapsang_api.kit.ratelimit import Limit

from .world import API, Backend, World, open_world

# Calls a request: what it was when the ceiling was last set, on Python 3.11 (later ones need fewer), and 12 % above it. A route
# that needs fewer gets a lower ceiling in the same change.
MARGIN = 1.12
TODAY = {
    "health": 1398,
    "list": 149,
    "list, cursor": 151,
    "detail": 168,
    "detail, token": 443,
    "toggle": 441,
    "comments": 957,
}
POSTS = 25  # a page of 20, and 5 before it
TIMES = 6
LIMITS = ",".join(f"{limit}=900000000/60" for limit in Limit)
#: Not ours: what plays Redis in this process.
_STAND_INS = ("/fakeredis/", "/lupa/", "/sortedcontainers/")
_BROWSER = (
    (b"host", b"community.example.com"),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-language", b"ko-KR,ko;q=0.9,en;q=0.8"),
    (b"origin", b"http://localhost:3000"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
)


@dataclass
class Counter:
    """Counts calls while it is armed, in every thread that began after it was installed."""

    armed: bool = False
    calls: int = 0
    _where: dict[str, bool] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if self.armed and event in ("call", "c_call") and self._counts(frame.f_code.co_filename):
            self.calls += 1

    def _counts(self, file: str) -> bool:
        known = self._where.get(file)
        if known is None:
            known = self._where[file] = file != __file__ and not any(part in file for part in _STAND_INS)
        return known

    @contextmanager
    def counting(self) -> Iterator[None]:
        self.calls, self.armed = 0, True
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            self.armed = False


@pytest.fixture
def counter() -> Iterator[Counter]:
    """Installed before the service starts its threads."""
    counter = Counter()
    threading.setprofile(counter)
    yield counter
    threading.setprofile(None)  # type: ignore[arg-type]


@pytest.fixture
async def limited_world(counter: Counter, files: Backend, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A running service that counts who asks how often, as it does in a pod, and does nothing of its own accord."""
    for module, name in ((runtime, "LOCAL_SYNC_SECONDS"), (ratelimit, "SETTLE_SECONDS"), (revocation, "POLL_SECONDS")):
        monkeypatch.setattr(module, name, 3_600.0)
    async with open_world(Backend(files.name, files.environment | {"BAPSANG_RATE_LIMITS": LIMITS})) as world:
        yield world


async def call(app: ASGIApp, method: str, path: str, query: str = "", token: str | None = None) -> int:
    """Send a request to the application itself, past everything that a test's client would do, and return the status."""
    headers = [*_BROWSER, *([(b"authorization", f"Bearer {token}".encode())] if token else [])]
    scope = {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method},
        **{"scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": ""},
        **{"headers": headers, "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8000), "state": {}},
    }
    answers: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        answers.append(message)

    await app(scope, receive, send)
    return int(answers[0]["status"])


async def fewest(counter: Counter, sends: list[Callable[[], Any]], status: int) -> int:
    """Return the calls of the cheapest of several requests that are alike: a background task may run into one of them."""
    found = []
    for send in sends:
        with counter.counting():
            answered = await send()
        assert answered == status
        found.append(counter.calls)
    return min(found)


async def test_a_hot_route_costs_no_more_calls_than_its_ceiling(limited_world: World, counter: Counter) -> None:
    world = limited_world
    app, author, reader = world.runtime.app, await world.person(), await world.person()
    # Each with comments, one of them answered.
    posts = [await author.write_post() for _ in range(POSTS)]
    for post in posts:
        parent = await author.write_comment(post)
        await reader.write_comment(post, parent=parent)
        await author.toggle(post)
    first = (await world.http.get(f"{API}/posts?size=5")).json()["nextCursor"]
    cursor = f"size=20&cursorId={first['id']}&cursorCreatedAt={first['createdAt']}"
    paths = [f"{API}/posts/{post}" for post in posts]
    likes = [(path, f"{path}/likes") for path in paths]
    hot: dict[str, tuple[list[Callable[[], Any]], int]] = {
        "health": ([lambda: call(app, "GET", f"{API}/health")] * TIMES, 200),
        "list": ([lambda: call(app, "GET", f"{API}/posts", "size=20")] * TIMES, 200),
        "list, cursor": ([lambda: call(app, "GET", f"{API}/posts", cursor)] * TIMES, 200),
        "detail": ([lambda: call(app, "GET", paths[0])] * TIMES, 200),
        # Another post each time, so that each is a view that counts.
        "detail, token": (
            [lambda path=path: call(app, "GET", path, token=reader.token) for path in paths[:TIMES]],
            200,
        ),  # type: ignore[misc]
        "toggle": ([lambda path=path: call(app, "POST", path, token=reader.token) for _, path in likes[:TIMES]], 204),  # type: ignore[misc]
        "comments": ([lambda: call(app, "GET", f"{paths[0]}/comments", "size=20")] * TIMES, 200),
    }
    assert hot.keys() == TODAY.keys()
    for path in paths:  # warm: somebody else has read all of it
        await call(app, "GET", path, token=author.token)
    counts = {}
    for name, (sends, status) in hot.items():
        await sends[0]()
        counts[name] = await fewest(counter, sends[1:], status)
    over = {
        name: f"{count} calls, at most {round(TODAY[name] * MARGIN)}"
        for name, count in counts.items()
        if count > round(TODAY[name] * MARGIN)
    }
    assert not over, f"{over} (all: {counts})"


async def test_the_counter_sees_what_a_needless_call_costs(limited_world: World, counter: Counter) -> None:
    """The ceiling would hold nothing if the counter missed what runs inside the application."""
    app = limited_world.runtime.app

    bare = await fewest(counter, [lambda: call(app, "GET", f"{API}/health")] * 5, 200)
    # Through a function of another file: this one's own calls do not count.
    source = compile(
        "def padded(call):\n    for number in range(100):\n        divmod(number, 7)\n    return call()",
        "padded.py",
        "exec",
    )
    space: dict[str, Any] = {}
    exec(source, space)  # noqa: S102
    padded = await fewest(counter, [lambda: space["padded"](lambda: call(app, "GET", f"{API}/health"))] * 5, 200)
    assert padded == bare + 101  # the function, and its hundred
