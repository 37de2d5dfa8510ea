"""What all parts of the bench act on: servers, API, generator, and people with tokens."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bapsang_api.kit.clock import SystemClock, to_wire
from bapsang_api.kit.ids import Ids
from bapsang_api.kit.security.tokens import Principal, SigningKey, TokenIssuer
from bapsang_api.seed.service import PASSWORD
from bapsang_local.engine import Engine
from bapsang_local.settings import Settings

from . import families, processes, seeding, servers
from .generator import Generator
from .interpreter import Interpreter, end_orphans
from .outcome import Run
from .proc import Meter, Usage
from .processes import ISSUER, Pair
from .scenario import Lists, document

READ_POSTS = 20_000  # the newest ones, which people read
CURSORS = 64
EMAILS = 10_000  # of people who log in by password
WARM_POSTS = 200
# Tokens live for 30 minutes; those of a part must outlive it.
_RENEW_SECONDS = 600
_QUIET_LOOKS = 5


@dataclass
class World:
    """The servers of one run."""

    mysql: servers.Mysql
    redis: servers.Redis
    api: Pair
    generator: Generator
    folder: Path
    logs: Path
    python: Interpreter
    environment: Mapping[str, str]
    size: seeding.Size
    people_count: int
    key_file: Path
    hot: str = ""
    people: list[tuple[str, str]] = field(default_factory=list)  # token, user id
    _issued: float = float("-inf")

    @property
    def lists(self) -> Lists:
        return Lists(self.folder)

    @property
    def groups(self) -> dict[str, list[int]]:
        return {"api": self.api.pids, "mysql": [self.mysql.pid], "redis": [self.redis.pid]}

    @property
    def pids(self) -> dict[str, int]:
        apis = {f"api {at + 1}": pid for at, pid in enumerate(self.api.pids)}
        return {**apis, "mysql": self.mysql.pid, "redis": self.redis.pid}

    def document(self, scenario: Mapping[str, Any], pair: Pair | None = None) -> dict[str, Any]:
        return document(scenario, (pair or self.api).targets, self.lists)

    def send(self, scenario: Mapping[str, Any], pair: Pair | None = None) -> tuple[Run, Usage]:
        """Carry a scenario out against the API, or another pair; return what came of it and what it cost."""
        groups = self.groups if pair is None else {**self.groups, "api": pair.pids}
        meter = Meter(groups)
        run = self.generator.run(self.document(scenario, pair))
        return run, meter.read(run.cpu_us)

    def wait_idle(self, seconds: float = 60.0) -> None:
        """Wait until the API works on nothing any more: what clients gave up may still be in its queues."""
        deadline, quiet = time.monotonic() + seconds, 0
        while quiet < _QUIET_LOOKS and time.monotonic() < deadline:
            busy = sum(processes.in_flight(url) for url in self.api.admin)
            quiet = 0 if busy else quiet + 1
            time.sleep(0.1)

    def like_sync(self) -> None:
        """Write likes and views back, as the CronJob does."""
        command = ["-m", "bapsang_api", "like-sync", "--deadline", "600"]
        self.python.run(command, self.environment, self.logs / "like-sync.log")

    def renew(self) -> None:
        """Write the lists that the generator fills templates from, with tokens that outlive the next part."""
        self._renew_sessions()
        if time.monotonic() - self._issued < _RENEW_SECONDS:
            return
        rows = self.mysql.rows(
            "SELECT u.id, n.number FROM users u JOIN user_numbers n ON n.user_id = u.id ORDER BY u.id LIMIT %s",
            self.people_count,
        )
        clock = SystemClock()
        ids = Ids(clock)
        key = SigningKey.load_all(self.key_file)[0]
        issuer = TokenIssuer(key, issuer=ISSUER, audience="bapsang", clock=clock, ids=ids)
        self.people = [(issuer.issue(Principal(user, "USER", ids.new(), number)), user) for user, number in rows]
        self._issued = time.monotonic()
        posts = self.mysql.rows(
            "SELECT id, user_id FROM posts WHERE post_status = 'ACTIVE' ORDER BY created_at DESC, id DESC LIMIT %s",
            READ_POSTS,
        )
        tokens = {user: token for token, user in self.people}
        # Somewhat down the list, as a post is that has been talked about for an hour.
        self.hot = posts[min(40, len(posts) - 1)][0]
        self.write("people", [token for token, _ in self.people])
        self.write("turns", [token for token, _ in self.people])
        self.write("posts", [post for post, _ in posts])
        self.write("hot", [self.hot])
        for name in ("warm", "warm_turns"):
            self.write(name, [post for post, _ in posts[:WARM_POSTS]])
        self.write("own", [f"{post}\t{tokens[user]}" for post, user in posts if user in tokens])
        self.write("cursors", [self.cursor(page) for page in range(1, CURSORS + 1)])
        self.write(
            "emails", [f"seed{number}@example.com\t{PASSWORD}" for number in range(min(EMAILS, self.size.users))]
        )

    def _renew_sessions(self) -> None:
        """Begin new sessions where many have been lost: those whose refresh was refused, or never answered."""
        path = self.folder / "sessions.txt"
        left = path.read_text().split() if path.exists() else []
        if len(left) < families.COUNT / 2:
            self.write("sessions", left + families.begin(self.mysql, families.COUNT - len(left)))

    def write(self, name: str, lines: list[str]) -> None:
        (self.folder / f"{name}.txt").write_text("\n".join(lines) + "\n")

    def cursor(self, page: int, rows: int = 20) -> str:
        """Return the query that asks for what comes after `page` full pages."""
        found = self.mysql.rows(
            "SELECT id, created_at FROM posts WHERE post_status = 'ACTIVE' ORDER BY created_at DESC, id DESC LIMIT 1 OFFSET %s",
            page * rows - 1,
        )
        return cursor_query(*found[0])


def cursor_query(post_id: str, created_at: datetime) -> str:
    return f"cursorId={post_id}&cursorCreatedAt={to_wire(created_at.replace(tzinfo=UTC))}"


def cache_of(settings: Settings) -> Path:
    """Return the folder of seeded data and of what a run makes."""
    return settings.home / "bench"


def run_folder(settings: Settings) -> Path:
    """Return the folder of what this run makes; `servers.clear` removes those of runs that were killed."""
    return cache_of(settings) / f"run-{os.getpid()}"


@contextlib.contextmanager
def opened(
    settings: Settings,
    engine: Engine,
    program: Path,
    *,
    posts: int,
    people: int,
    buffer_pool: str,
    python: Interpreter,
    count: int,
    name: str = "",
    seeder: Interpreter | None = None,
) -> Iterator[World]:
    """Start everything on a copy of the seeded data; all of it is gone afterwards but the logs.

    Worlds of one run have names. What another version has seeded (`seeder`) is migrated by this one.
    """
    cache = cache_of(settings)
    logs = settings.logs / "bench" / name
    for folder in (cache, logs):
        folder.mkdir(parents=True, exist_ok=True)
    end_orphans()
    servers.clear(engine, cache)
    size = seeding.Size.of(posts)
    seeded = seeding.provide(size, cache, engine, seeder or python, logs)
    folder = run_folder(settings) / name
    with contextlib.ExitStack() as stack:
        stack.callback(servers.remove, folder)
        folder.mkdir(parents=True, exist_ok=True)
        seeding.copy(seeded, folder / "mysql")
        key_file = folder / "signing-key.pem"
        _write_key(key_file)
        mysql = stack.enter_context(
            servers.mysql(engine, folder / "mysql", buffer_pool=buffer_pool, log=logs / "mysql.log")
        )
        redis = stack.enter_context(servers.redis_server(engine, folder / "redis", log=logs / "redis.log"))
        environment = processes.api_environment(mysql.url, redis.url, key_file)
        if seeder and size.key(seeder.code) != size.key(python.code):
            python.run(["-m", "bapsang_api", "migrate"], environment, logs / "migrate.log")
        pair = stack.enter_context(processes.api(python, environment, logs, count))
        world = World(
            *(mysql, redis, pair, Generator(program, folder), folder, logs, python, environment, size),
            people_count=min(people, size.users),
            key_file=key_file,
        )
        world.renew()
        yield world


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


Part = Callable[[World, "Options"], dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """How long and how much; `quick` shows in minutes that everything works, its figures mean little."""

    quick: bool
    seconds: float  # of the peak mix
    step_seconds: float  # of a step of the ramp, and of most other parts
    rounds: int
    round_seconds: float
    connections: int  # of closed runs
    rate: float  # of the peak
