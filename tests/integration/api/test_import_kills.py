"""An import that is killed: the real process, twice, at moments drawn anew each time. `.ci/nightly import` does it with
100,000 users and a million likes."""

# ruff: noqa: S608 - names and numbers of our own

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, text
from tests.integration.api.old_server import OldServer, fill, old_server

from bapsang_api.upkeep.recount import Recount

from .databases import connected
from .process import BARE, PROGRAM, run_here
from .test_import import log_in
from .world import API, Backend, open_world

USERS = int(os.environ.get("BAPSANG_TEST_IMPORT_USERS", "200"))
SIZES = {"users": USERS, "posts": 2 * USERS, "comments": 3 * USERS, "likes": (10 if USERS > 10_000 else 5) * USERS}
LARGE = USERS > 10_000
BATCH = "1000" if LARGE else "25"


@pytest.fixture
def old(mysql_url: str) -> Iterator[OldServer]:
    with old_server(mysql_url) as made:
        fill(made, **SIZES)
        yield made


class Runs:
    """The command, begun as often as need be."""

    def __init__(self, old: OldServer, servers: Backend, cwd: Path) -> None:
        self._url, self._cwd = servers.environment["BAPSANG_DATABASE_URL"], cwd
        self._environment = {**BARE, **servers.environment, "OLD_DATABASE_URL": old.url}
        self._command = (*PROGRAM, "import", "--from-env", "OLD_DATABASE_URL", "--batch", BATCH)

    def looked_at(self, connection: Connection) -> int:
        """Return how many rows of the older server the run has looked at, and posts it has shown."""
        states = connection.execute(text("SELECT state FROM import_steps")).scalars().all()
        connection.rollback()
        tallies = [json.loads(state)["tally"] for state in states]
        return sum(tally["found"] or tally["new"] for tally in tallies)

    def begin(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command, env=self._environment, cwd=self._cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def killed_after(self, rows: int) -> int:
        """Kill a run as soon as it has looked at so many rows; return at how many that was."""
        process = self.begin()
        with connected(self._url) as connection:
            while self.looked_at(connection) < rows:
                assert process.poll() is None, process.communicate(timeout=60)[1].decode()
                time.sleep(0.2 if LARGE else 0.01)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
            return self.looked_at(connection)

    async def whole(self) -> dict[str, Any]:
        """Run it to its end, within this process, which costs no start of another, and return the report."""
        arguments = self._command[len(PROGRAM) :]
        done = await asyncio.to_thread(run_here, *arguments, cwd=self._cwd, **self._environment)
        assert done.returncode == 0, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def differences(old_url: str, new_url: str) -> dict[str, int]:
    """Return how many rows there are on either side that the other should have and has not, by what is compared."""
    old, ours = make_url(old_url).database, make_url(new_url).database
    ids = f"{ours}.imported_ids"
    users = f"JOIN {ids} u ON u.kind = 'user' AND u.old_id = CAST(o.user_id AS CHAR CHARACTER SET ascii)"
    posts = f"JOIN {ids} p ON p.kind = 'post' AND p.old_id = CAST(o.post_id AS CHAR CHARACTER SET ascii)"
    shown = f"JOIN {ours}.posts s ON s.id = p.new_id AND s.post_status <> 'DELETED'"
    comments = f"{ids} c JOIN {ours}.comments n ON n.comment_id = c.new_id AND c.kind = 'comment'"
    queries = {
        "users": f"(SELECT COUNT(*) FROM {old}.users) - (SELECT COUNT(*) FROM {ours}.users)",
        "posts": f"(SELECT COUNT(*) FROM {old}.posts WHERE user_id <= {USERS}) - (SELECT COUNT(*) FROM {ours}.posts)",
        "posts of others": f"(SELECT COUNT(*) FROM {old}.posts o {users} JOIN {ids} p ON p.kind = 'post' "
        "AND p.old_id = CAST(o.id AS CHAR CHARACTER SET ascii) "
        f"JOIN {ours}.posts n ON n.id = p.new_id WHERE n.user_id <> u.new_id)",
        "likes": f"(SELECT COUNT(*) FROM {old}.user_post_likes o {users} {posts} {shown}) - "
        f"(SELECT COUNT(*) FROM {ours}.user_post_likes)",
        "likes of others": f"(SELECT COUNT(*) FROM {old}.user_post_likes o {users} {posts} {shown} LEFT JOIN "
        f"{ours}.user_post_likes l ON l.post_id = p.new_id AND l.user_id = u.new_id WHERE l.post_id IS NULL)",
        "comments": f"(SELECT COUNT(*) FROM {old}.comments o {users} {posts} {shown}) - (SELECT COUNT(*) FROM {ours}.comments)",
        "comments of others": f"(SELECT COUNT(*) FROM {old}.comments o {users} {posts} JOIN {comments} "
        "AND c.old_id = CAST(o.comment_id AS CHAR CHARACTER SET ascii) WHERE n.post_id <> p.new_id OR n.user_id <> u.new_id)",
        "parents": f"(SELECT COUNT(*) FROM {comments} JOIN {ours}.comments a ON a.comment_id = n.parent_id "
        "WHERE a.depth <> n.depth - 1 OR a.post_id <> n.post_id OR a.comment_group <> n.comment_group OR n.depth > 3)",
        "not shown": f"(SELECT COUNT(*) FROM {ours}.posts WHERE post_status = 'MOVING')",
    }
    with connected(new_url) as connection:
        return {name: int(connection.execute(text(f"SELECT {query}")).scalar_one()) for name, query in queries.items()}


@pytest.mark.timeout(1_700)
async def test_import_that_is_killed_twice_takes_everything_once(
    old: OldServer, servers: Backend, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    runs, begun = Runs(old, servers, tmp_path), time.monotonic()
    with connected(old.url) as connection:
        tables = ("users", "user_auth", "posts", "post_contents", "comments", "user_post_likes")
        counts = {name: connection.execute(text(f"SELECT COUNT(*) FROM {name}")).scalar_one() for name in tables}
    total = sum(counts.values())
    moments = sorted(random.sample(range(1, total), 2))
    stopped = [runs.killed_after(rows) for rows in moments]
    report = await runs.whole()
    seconds = time.monotonic() - begun
    figures = {
        "rows": total,
        "killed_at": stopped,
        "seconds": round(seconds),
        "rows_per_second": round(total / seconds),
    }
    print(json.dumps({**figures, "tables": report["tables"]}, indent=1))  # noqa: T201
    record_property("import", figures)

    assert report["unexplained"] == [], stopped
    for name, count in counts.items():
        table = report["tables"][name]
        assert (table["found"], table["imported"] + sum(table["skipped"].values())) == (count, count), (name, stopped)
    url = servers.environment["BAPSANG_DATABASE_URL"]
    found = differences(old.url, url)
    assert found == dict.fromkeys(found, 0), stopped
    again = await runs.whole()
    assert (again["nothing_new"], again["unexplained"]) == (True, [])
    assert {name: table["skipped"] for name, table in again["tables"].items()} == {
        name: table["skipped"] for name, table in report["tables"].items()
    }
    if not LARGE:  # of many not all are named
        assert again["named"] == [row for row in report["named"] if row["new_id"] is None]

    async with open_world(servers) as world:
        for user in (1, 2, USERS // 2):
            assert (await log_in(world, f"old{user}@example.com")).status_code == 201
        assert (await log_in(world, "old99@example.com")).status_code == 401, "had withdrawn"
        first = await world.http.get(f"{API}/posts/1", follow_redirects=True)
        assert first.json()["stats"]["likeCount"] == USERS
        if not LARGE:
            counting = await Recount(world.runtime.database, None).run(None, dry_run=True)
            assert counting.differences == 0
