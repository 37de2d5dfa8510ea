"""What a request of each hot route costs, counted in function calls: exactly repeatable, so that CI can hold a ceiling.

Counted are the calls of our own code's functions and those that our code makes (a coroutine's each step too, in any thread): what
libraries do inside is their own, and an upgrade of one changes nothing. What they do besides is held against a request that does
nothing, in the same run. Microseconds are measured by `make bench`; this notices when somebody makes them more.
"""

import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest
from starlette.types import ASGIApp, Message

import bapsang_api
from bapsang_api import local_jobs, runtime
from bapsang_api.auth import revocation
from bapsang_api.http import ratelimit
from bapsang_api.http.ratelimit import Limit
from bapsang_api.readmodel.feed import ChangeFeed

from .world import API, Backend, World, open_world

# Our own calls a request: what it was when the ceiling was last set, on Python 3.11 (later ones need fewer), and 12 % above it. A
# route that needs fewer gets a lower ceiling in the same change.
MARGIN = 1.12
OWN = {
    "health": 69,
    "list": 121,
    "list, cursor": 129,
    "detail": 122,
    "detail, token": 174,
    "toggle": 160,
    "comments": 121,
}
# All calls, with those inside libraries, by those of "health", which does nothing but what the framework does for any route: half
# more than when this was written. A route that falls off its short way, or reads a row more, is far above it.
OF_NOTHING = {
    "health": 1.0,
    "list": 0.4,
    "list, cursor": 0.4,
    "detail": 0.45,
    "detail, token": 1.15,
    "toggle": 1.15,
    "comments": 0.4,
}
# Modules that a hit enters, and functions: whoever adds a layer takes one away. The goal of both routes is 12 modules.
ENTERED = {"detail, token": (18, 38), "toggle": (16, 39)}
POSTS = 25  # a page of 20, and 5 before it
TIMES = 6
LIMITS = ",".join(f"{limit}=900000000/60" for limit in Limit)
OURS, LIBRARYS, NOBODYS = "ours", "a library's", "nobody's"
_API = str(Path(bapsang_api.__file__).parent)
#: Not counted: what plays Redis in this process.
_STAND_INS = ("/fakeredis/", "/lupa/", "/sortedcontainers/")
_BROWSER = (
    (b"host", b"community.example.com"),
    (b"accept", b"application/json, text/plain, */*"),
    (b"accept-language", b"ko-KR,ko;q=0.9,en;q=0.8"),
    (b"origin", b"http://localhost:3000"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
)


class Calls(NamedTuple):
    """Calls of one request: by our own code, and all."""

    own: int
    all: int


@dataclass
class Counter:
    """Counts calls while it is armed, in every thread that began after it was installed."""

    armed: bool = False
    own: int = 0
    all: int = 0
    _whose: dict[str, str] = field(default_factory=dict)

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if not self.armed or event not in ("call", "c_call"):
            return
        whose = self._of(frame)
        if whose == NOBODYS:
            return
        self.all += 1
        caller = frame if event == "c_call" else frame.f_back
        self.own += OURS in (whose, self._of(caller))

    def _of(self, frame: FrameType | None) -> str:
        if frame is None:
            return LIBRARYS
        file = frame.f_code.co_filename
        known = self._whose.get(file)
        if known is None:
            not_counted = file == __file__ or any(part in file for part in _STAND_INS)
            known = NOBODYS if not_counted else OURS if file.startswith(_API) else LIBRARYS
            self._whose[file] = known
        return known

    @contextmanager
    def counting(self) -> Iterator[None]:
        self.own, self.all, self.armed = 0, 0, True
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


@dataclass
class Stopped:
    """The clock of what is kept of posts, which a test moves: on a slow machine it would get old in the middle of a case."""

    now: float = 1_000.0


@pytest.fixture
def stopped() -> Stopped:
    return Stopped()


@pytest.fixture
async def limited_world(
    counter: Counter, files: Backend, stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A running service that counts who asks how often, as it does in a pod, and does nothing of its own accord."""
    for module, name in ((local_jobs, "SYNC_SECONDS"), (ratelimit, "SETTLE_SECONDS"), (revocation, "POLL_SECONDS")):
        monkeypatch.setattr(module, name, 3_600.0)
    monkeypatch.setattr(runtime, "ChangeFeed", partial(ChangeFeed, timer=lambda: stopped.now))
    async with open_world(Backend(files.name, files.environment | {"BAPSANG_RATE_LIMITS": LIMITS})) as world:
        # As on MySQL: it is known that nobody hides anybody, and the change feed says that nothing has changed.
        world.runtime.hidden._read_at = stopped.now
        feed = world.runtime.feed
        feed.since, feed.position, feed.fresh_until = float("-inf"), float("inf"), float("inf")
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


async def fewest(counter: Counter, sends: list[Callable[[], Any]], status: int) -> Calls:
    """Return the calls of the cheapest of several requests that are alike: a background task may run into one of them."""
    found = []
    for send in sends:
        with counter.counting():
            answered = await send()
        assert answered == status
        found.append(Calls(counter.own, counter.all))
    return min(found)


async def test_a_hot_route_costs_no_more_calls_than_its_ceiling(
    limited_world: World, counter: Counter, stopped: Stopped
) -> None:
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
    assert hot.keys() == OWN.keys() == OF_NOTHING.keys()

    ceilings = {name: round(calls * MARGIN) for name, calls in OWN.items()}
    counts = {}
    for name, (sends, status) in hot.items():
        stopped.now += 10
        for path in paths:  # warm: somebody else has read all of it
            await call(app, "GET", path, token=author.token)
        stopped.now += 0.1
        await sends[0]()
        counts[name] = await fewest(counter, sends[1:], status)
    assert {name: found.own for name, found in counts.items() if found.own > ceilings[name]} == {}, counts
    nothing = counts["health"].all
    assert {name: found.all for name, found in counts.items() if found.all > nothing * OF_NOTHING[name]} == {}, counts


async def test_a_hit_enters_few_modules_and_functions(limited_world: World, stopped: Stopped) -> None:
    """Of our own code, without what plays a connection to Redis here: its counterpart is as long."""
    world = limited_world
    app, author, reader = world.runtime.app, await world.person(), await world.person()
    post_id = await author.write_post()
    await author.toggle(post_id)
    for name, (method, path) in {
        "detail, token": ("GET", f"{API}/posts/{post_id}"),
        "toggle": ("POST", f"{API}/posts/{post_id}/likes"),
    }.items():
        for _ in range(2):
            stopped.now += 0.1
            await call(app, method, path, token=reader.token)
        entered: set[tuple[str, str]] = set()

        def see(frame: FrameType, event: str, _: Any, entered: set[tuple[str, str]] = entered) -> None:
            file, function = frame.f_code.co_filename, frame.f_code.co_name
            if event == "call" and file.startswith(_API) and not function.startswith("<"):
                entered.add((file.removeprefix(_API), frame.f_code.co_qualname))

        sys.setprofile(see)
        try:
            await call(app, method, path, token=reader.token)
        finally:
            sys.setprofile(None)
        modules, most = {file for file, _ in entered}, ENTERED[name]
        assert (len(modules), len(entered)) <= most, (name, sorted(entered))
        assert len(entered) <= most[1], (name, sorted(entered))


async def test_the_counter_sees_what_a_needless_call_costs(limited_world: World, counter: Counter) -> None:
    """The ceiling would hold nothing if the counter missed what runs inside the application."""
    app = limited_world.runtime.app

    bare = await fewest(counter, [lambda: call(app, "GET", f"{API}/health")] * 5, 200)
    # Through a function of another file: this one's own calls do not count.
    text = "def padded(call):\n    for number in range(100):\n        divmod(number, 7)\n    return call()"
    for file, own in ((f"{_API}/padded.py", 101), ("a_library/padded.py", 0)):
        space: dict[str, Any] = {}
        exec(compile(text, file, "exec"), space)  # noqa: S102
        padded = await fewest(
            counter, [lambda padded=space["padded"]: padded(lambda: call(app, "GET", f"{API}/health"))] * 5, 200
        )  # type: ignore[misc]
        assert padded == (bare.own + own, bare.all + 101)  # the function, and its hundred
