"""The load generator against a server of the tests' own: what it sends, what it understands, what it counts."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.load.bench.generator import Generator, build
from tests.load.bench.outcome import Run
from tests.load.bench.scenario import JSON, NEXT_PAGE, Lists, Request, closed, document, opened

from bapsang_local.settings import from_environment

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


class Server:
    """Answers each request with what `answer` returns for it; None closes the connection."""

    def __init__(self, answer: Callable[[bytes], bytes | None]) -> None:
        self.answer, self.requests, self.connections = answer, list[bytes](), 0
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.target = f"127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that has given up is gone when the answer comes.
        with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = lines.readline()
                    if not line:
                        return
                    head += line
                length = re.search(rb"Content-Length: (\d+)", head)
                request = head + (lines.read(int(length[1])) if length else b"")
                self.requests.append(request)
                answer = self.answer(request)
                if answer is None:
                    return
                connection.sendall(answer)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed already
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture(scope="session")
def program() -> Path:
    return build(from_environment())


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers = []

    def start(answer: Callable[[bytes], bytes | None] = lambda _: OK) -> Server:
        servers.append(Server(answer))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def send(program: Path, tmp_path: Path) -> Callable[..., Run]:
    def run(scenario: dict[str, Any], *servers: Server, **lists: list[str]) -> Run:
        for name, lines in lists.items():
            (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n")
        whole = document(scenario, [server.target for server in servers], Lists(tmp_path))
        return Generator(program, tmp_path).run(whole)

    return run


GET = Request("get", "GET", "/")


def count(server: Server, pattern: bytes) -> int:
    return sum(1 for request in server.requests if re.search(pattern, request))


def test_templates_are_filled_from_lists_and_people_take_turns(
    serve: Callable[..., Server], send: Callable[..., Run]
) -> None:
    server = serve()
    request = Request(
        "like", "POST", "/p/{own}", {"Authorization": "Bearer {own:1}"} | JSON, '{"by":"{turns}"}', tally="turns"
    )
    scenario = closed([(request, 1.0)], connections=2, seconds=20, limit=30)
    run = send(scenario, server, own=["A\ta", "B\tb"], turns=["x", "y", "z"])
    assert len(server.requests) == run.outcome("like").good == 30
    assert run.tallies == {"like": [10, 10, 10]}
    for one in server.requests:
        post, token, length, body = re.search(  # type: ignore[union-attr]
            rb"^POST /p/(\w) HTTP/1.1\r\n.*Bearer (\w)\r\n.*Content-Length: (\d+)\r\n\r\n(.*)$", one, re.DOTALL
        ).groups()
        assert (post, token) in ((b"A", b"a"), (b"B", b"b"))  # one line, two columns
        assert len(body) == int(length)
        assert json.loads(body)["by"] in "xyz"
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "status", "size"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\nx: y\r\n\r\nhello", "200", 5),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "204", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\nyou\r\n0\r\n\r\n", "200", 8),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, "200", 100_000),
    ],
    ids=["length", "none", "chunked", "large"],
)
def test_every_kind_of_answer_is_read_to_its_end(
    serve: Callable[..., Server], send: Callable[..., Run], answer: bytes, status: str, size: int
) -> None:
    server = serve(lambda _: answer)
    run = send(closed([(GET, 1.0)], connections=1, seconds=20, limit=5), server)
    assert run.outcome().statuses == {status: 5}
    assert run.outcome().errors == 0
    assert server.connections == 1  # so nothing of one answer was left for the next


def test_a_connection_that_the_server_ends_is_opened_again(
    serve: Callable[..., Server], send: Callable[..., Run]
) -> None:
    server = serve(lambda _: b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    run = send(closed([(GET, 1.0)], connections=1, seconds=20, limit=4), server)
    assert (run.outcome().good, server.connections) == (4, 4)


def test_errors_are_counted_by_kind(serve: Callable[..., Server], send: Callable[..., Run]) -> None:
    answers = {
        b"/busy": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"/gone": None,
        b"/nonsense": b"what?" * 5 + b"\r\n\r\n",
    }
    server = serve(lambda request: answers[request.split()[1]])
    for path, kind in (("/busy", "503"), ("/gone", "closed"), ("/nonsense", "malformed")):
        run = send(closed([(Request("bad", "GET", path), 1.0)], connections=1, seconds=20, limit=3), server)
        assert run.outcome().kinds() == {kind: 3}
        assert run.outcome().good == 0
    server.close()
    refused = send(closed([(GET, 1.0)], connections=1, seconds=20, limit=1), server)
    assert refused.outcome().kinds() == {"refused": 1}


def test_an_answer_that_was_expected_is_no_error(serve: Callable[..., Server], send: Callable[..., Run]) -> None:
    server = serve(lambda _: b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    wanted = Request("denied", "GET", "/", expect=(401,))
    assert send(closed([(wanted, 1.0)], connections=1, seconds=20, limit=3), server).outcome().good == 3


def test_time_counts_from_when_a_request_was_due(serve: Callable[..., Server], send: Callable[..., Run]) -> None:
    """A server that answers nothing for a while makes all wait who come meanwhile, not only the one it had."""
    stalled, begun = threading.Event(), threading.Event()

    def answer(_: bytes) -> bytes:
        if not begun.is_set():
            begun.set()
            threading.Timer(0.5, stalled.set).start()
        stalled.wait(20)
        return OK

    server = serve(answer)
    # Two connections at most, so that the others wait where a coordinated generator would not even have begun.
    scenario = opened([(GET, 1.0)], rate=100, seconds=1) | {"connections": 2, "arrivals": "uniform"}
    run = send(scenario, server)
    assert run.outcome().good == 100
    waited = [lowest / 1000 for lowest, many in run.outcome().latency.counts.items() for _ in range(many)]
    # Those due in the first half second have waited for its end: on average a quarter of one.
    assert sum(1 for one in waited if one > 50) >= 40


def test_the_rate_of_an_open_run_does_not_follow_the_server(
    serve: Callable[..., Server], send: Callable[..., Run]
) -> None:
    never = threading.Event()
    stuck = serve(lambda _: OK if never.wait(30) else None)
    scenario = opened([(GET, 1.0)], rate=200, seconds=1) | {"arrivals": "uniform", "timeout_ms": 300}
    run = send(scenario, stuck)
    never.set()
    assert run.outcome().kinds() == {"timeout": 200}
    assert stuck.connections > 20  # each waits on a connection of its own


def test_what_a_stall_has_opened_lies_idle_afterwards(serve: Callable[..., Server], send: Callable[..., Run]) -> None:
    """As at an ingress: were all connections used by turns, each request would come on one that no cache knows."""
    first, used = threading.Semaphore(20), list[int]()

    def answer(_: bytes) -> bytes:
        used.append(threading.get_ident())  # each connection has a thread of its own
        if first.acquire(blocking=False):
            time.sleep(0.5)
        return OK

    server = serve(answer)
    run = send(opened([(GET, 1.0)], rate=100, seconds=2), server)
    assert run.outcome().errors == 0
    assert server.connections >= 20
    assert len(set(used[-50:])) <= 5


def test_the_share_of_a_class_and_of_the_first_of_a_list(
    serve: Callable[..., Server], send: Callable[..., Run]
) -> None:
    servers = serve(), serve()
    often, seldom = Request("often", "GET", "/{posts}"), Request("seldom", "GET", "/x")
    scenario = opened([(often, 3.0), (seldom, 1.0)], rate=2_000, seconds=10, limit=2_000)
    run = send(scenario, *servers, posts=[f"p{rank}" for rank in range(1, 101)])
    assert run.outcome().good == 2_000
    assert run.outcome("often").good == pytest.approx(1_500, abs=100)
    first, second = (sum(count(server, rb"^GET /p%d " % rank) for server in servers) for rank in (1, 2))
    assert first == pytest.approx(2 * second, rel=0.4)  # Zipf
    assert len(servers[0].requests) == pytest.approx(1_000, abs=120)  # by chance, half each


def test_the_cursor_of_the_second_page_is_the_one_last_seen(
    serve: Callable[..., Server], send: Callable[..., Run]
) -> None:
    body = b'{"items":[{"nextCursor":{"id":"no"}}],"nextCursor":{"id":"NEW","createdAt":"2026-11-25T01:02:03.4"},"hasMore":true}'
    page = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    server = serve(lambda _: page)
    first = Request("list", "GET", "/list", capture=NEXT_PAGE)
    after = Request("scroll", "GET", "/scroll?{cursors}")
    send(closed([(first, 1.0), (after, 1.0)], connections=1, seconds=20, limit=400), server, cursors=["old"])
    assert count(server, rb"^GET /scroll\?cursorId=NEW&cursorCreatedAt=2026-11-25T01:02:03.4 HTTP") > 100


#: A value that works once, which the answer replaces in a header.
ONCE = Request(
    *("once", "POST", "/once", {"Cookie": "token={sessions}"}),
    capture={
        "into": "sessions",
        "head": True,
        "after": "Set-Cookie:",
        "between": [["token=", ";"]],
        "format": ["", ""],
    },
)


class Exchange:
    """A server's answers: each token is exchanged once for its successor, a second time is 401."""

    def __init__(self, *good: str) -> None:
        self.good, self.lock, self.reused, self.exchanged = set(good), threading.Lock(), 0, 0

    def __call__(self, request: bytes) -> bytes | None:
        token = re.search(rb"token=(\S+)", request)[1].decode()  # type: ignore[index]
        with self.lock:
            if token not in self.good:
                self.reused += 1
                return b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
            self.good.remove(token)
            self.exchanged += 1
            name, _, number = token.partition(".")
            successor = f"{name}.{int(number) + 1}"
            self.good.add(successor)
        time.sleep(0.002)  # so that others would send what is being exchanged
        return f"HTTP/1.1 204 Done\r\nSet-Cookie: token={successor}; Path=/\r\n\r\n".encode()


def test_what_works_once_is_sent_once_and_its_successor_next(
    serve: Callable[..., Server], send: Callable[..., Run], tmp_path: Path
) -> None:
    """Over two runs: the second goes on with what the first was given last."""
    tokens = [f"{name}.0" for name in "abcdef"]
    exchange = Exchange(*tokens)
    server = serve(exchange)
    scenario = closed([(ONCE, 1.0)], connections=6, seconds=20, limit=120)
    first = send(scenario, server, sessions=tokens)
    left = (tmp_path / "sessions.txt").read_text().split()
    second = send(scenario, server)
    assert (first.outcome().good, second.outcome().good) == (120, 120)
    assert (exchange.reused, exchange.exchanged) == (0, 240)
    assert sorted(one.partition(".")[0] for one in left) == list("abcdef")
    # Whoever was served longest ago is next.
    assert {int(one.partition(".")[2]) for one in left} <= set(range(15, 26))
    assert set((tmp_path / "sessions.txt").read_text().split()) == exchange.good


def test_what_nobody_knows_the_use_of_is_never_sent_again(
    serve: Callable[..., Server], send: Callable[..., Run], tmp_path: Path
) -> None:
    answers = {
        b"refused": b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b"silent": None,
        b"nothing": b"HTTP/1.1 204 Done\r\n\r\n",
        b"good": b"HTTP/1.1 204 Done\r\nSet-Cookie: token=good; Path=/\r\n\r\n",
    }
    server = serve(lambda request: answers[re.search(rb"token=(\w+)", request)[1]])  # type: ignore[index]
    run = send(
        closed([(ONCE, 1.0)], connections=1, seconds=20, limit=9), server, sessions=[name.decode() for name in answers]
    )
    assert (run.outcome().good, run.outcome().kinds()) == (7, {"503": 1, "closed": 1})
    assert (tmp_path / "sessions.txt").read_text() == "good\n"
    lost = send(closed([(ONCE, 1.0)], connections=1, seconds=20, limit=3), server, sessions=["refused"])
    assert lost.outcome().kinds() == {"503": 1, "none free": 2}


def test_windows_and_warming_up_are_counted_apart(serve: Callable[..., Server], send: Callable[..., Run]) -> None:
    scenario = opened([(GET, 1.0)], rate=200, seconds=1, warmup=0.5, window=0.5) | {"arrivals": "uniform"}
    run = send(scenario, serve())
    assert (run.sent, run.outcome().good) == (300, 200)
    assert [window.good for window in run.windows["get"]] == [100, 100]


def test_a_wrong_scenario_is_refused_with_a_reason(program: Path, tmp_path: Path) -> None:
    wrong = document(opened([(GET, 1.0)], rate=0, seconds=1), ["127.0.0.1:1"], Lists(tmp_path))
    with pytest.raises(SystemExit, match="needs a rate"):
        Generator(program, tmp_path).run(wrong)
    (tmp_path / "sessions.txt").write_text("a\n")
    unrenewed = closed([(replace(ONCE, capture=None), 1.0)], connections=1, seconds=1)
    with pytest.raises(SystemExit, match="a capture that renews it"):
        Generator(program, tmp_path).run(document(unrenewed, ["127.0.0.1:1"], Lists(tmp_path)))
