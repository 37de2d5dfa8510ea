"""What decides whether the home feed is merged when it is read or fanned out when a post is written.

`PYTHONPATH=manifests/local python -m tests.load.home_feed`, some two minutes; prints tables, saves docs/benchmarks/home-feed.json.
MySQL runs as in `make bench`, and CPU is that of its process out of /proc. Candidates take turns, so that what else the machine does
meets all of them: ratios count. 10⁵ people follow one author; readers follow 10, 100 and 1,000 of 20,000 authors, who wrote
2·10⁵ posts, a tenth of them half of the posts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, TextClause, create_engine, text
from tests.load.bench import machine
from tests.load.bench.proc import cpu_seconds
from tests.load.bench.servers import Mysql, mysql
from tests.load.results import save

from bapsang_api.home import queries
from bapsang_api.kit.db.keyset import Keyset
from bapsang_api.migrate import migrate
from bapsang_local import engine as engines
from bapsang_local.settings import from_environment

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "benchmarks" / "home-feed.json"
FOLLOWERS, AUTHORS, POSTS = 100_000, 20_000, 200_000
FOLLOWED = (10, 100, 1_000)
READERS = 20  # of each kind
KEPT = 500  # entries that a reader has of a feed that is fanned out
PAGE = 21  # of a page of 20, and whether there is more
ROUNDS = 6
READS = 10  # of each reader, a round
FAN_OUTS = 6
AUTHOR = "01JD0000000000000000000000"  # the one whom 10⁵ people follow

# Numbers from 1 to :count as ids.
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count) "
_INTO_USERS = "INSERT INTO users (id, nickname, user_role, user_status, created_at) "
_USERS = _INTO_USERS + _NUMBERS + "SELECT LPAD(i, 26, '0'), CONCAT('n', i), 'USER', 'ACTIVE', NOW(6) FROM n"  # noqa: S608 - our own
_AUTHOR = _INTO_USERS + "VALUES (:author, 'famous', 'USER', 'ACTIVE', NOW(6))"
# The square of an even chance: a tenth of the authors write a third of all posts.
_POSTS = (
    "INSERT INTO posts (id, user_id, title, created_at, post_status, view_count, like_count, comment_count) "  # noqa: S608 - our own
    + _NUMBERS
    + "SELECT CONCAT('01JD', LPAD(i, 22, '0')), LPAD(1 + FLOOR(:authors * POW(RAND(1), 2)), 26, '0'), '오늘의 밥상',"
    " '2026-01-01' + INTERVAL i * 120 SECOND + INTERVAL 0 MICROSECOND, 'ACTIVE', 0, 0, 0 FROM n"
)
_INTO_FOLLOWS = "INSERT INTO follows (follower_id, followed_id, created_at) "
_FAMOUS = _INTO_FOLLOWS + "SELECT id, :author, NOW(6) FROM users WHERE id <> :author"  # noqa: S608 - our own
_FOLLOW = _INTO_FOLLOWS + "VALUES (:reader, :author, NOW(6))"
_ENTRIES = """
CREATE TABLE home_entries (
  user_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, created_at DATETIME(6) NOT NULL,
  post_id CHAR(26) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  PRIMARY KEY (user_id, created_at, post_id), KEY ix_home_entries_post (post_id)
) ENGINE=InnoDB CHARACTER SET utf8mb4
"""
_FAN_OUT = (
    "INSERT INTO home_entries SELECT follower_id, :at, :post_id FROM follows WHERE followed_id = :author"
    " ORDER BY follower_id"
)
_ENTRIES_OF = (
    "SELECT e.created_at, e.post_id FROM home_entries e JOIN posts p ON p.id = e.post_id AND p.post_status = 'ACTIVE'"
    " WHERE e.user_id = :reader ORDER BY e.created_at DESC, e.post_id DESC LIMIT :most"
)
#: Of each person followed a whole page; every post of all of them, sorted; the newest of all posts until a page is full.
_LATERAL = """
SELECT p.created_at, p.id FROM (SELECT followed_id FROM follows WHERE follower_id = :reader) f JOIN LATERAL (
  SELECT created_at, id FROM posts WHERE user_id = f.followed_id AND post_status = 'ACTIVE'
  ORDER BY user_id DESC, post_status DESC, created_at DESC, id DESC LIMIT :most) p ON TRUE
ORDER BY p.created_at DESC, p.id DESC LIMIT :most
"""
_JOINED = """
SELECT p.created_at, p.id FROM follows f STRAIGHT_JOIN posts p ON p.user_id = f.followed_id AND p.post_status = 'ACTIVE'
WHERE f.follower_id = :reader ORDER BY p.created_at DESC, p.id DESC LIMIT :most
"""
_KEEP = "INSERT INTO home_entries SELECT :reader, found.* FROM (" + _JOINED + ") found"  # noqa: S608 - our own
_SCANNED = """
SELECT p.created_at, p.id FROM posts p FORCE INDEX (ix_posts_feed) STRAIGHT_JOIN follows f
  ON f.follower_id = :reader AND f.followed_id = p.user_id
WHERE p.post_status = 'ACTIVE' ORDER BY p.created_at DESC, p.id DESC LIMIT :most
"""


@dataclass
class Cost:
    """Milliseconds of one thing, a value a round."""

    mysql: list[float] = field(default_factory=list)
    process: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def record(self) -> dict[str, float]:
        named = {"mysql_ms": self.mysql, "process_ms": self.process, "wall_ms": self.wall}
        return {name: round(statistics.median(values), 3) for name, values in named.items()}


def timed(server: Mysql, cost: Cost, count: int, work: Callable[[], Any]) -> None:
    """Do something that is `count` of a kind, and note what one took."""
    spent, own, began = cpu_seconds(server.pid), time.process_time(), time.perf_counter()
    work()
    cost.wall.append(1000 * (time.perf_counter() - began) / count)
    cost.process.append(1000 * (time.process_time() - own) / count)
    cost.mysql.append(1000 * (cpu_seconds(server.pid) - spent) / count)


def fill(connection: Connection) -> dict[int, list[str]]:
    """Write people, posts and follows; return the readers by how many they follow."""
    rng = random.Random(1)
    connection.execute(text("SET SESSION cte_max_recursion_depth = 1000000, foreign_key_checks = 0"))
    connection.execute(text(_USERS), {"count": FOLLOWERS})
    connection.execute(text(_AUTHOR), {"author": AUTHOR})
    connection.execute(text(_POSTS), {"count": POSTS, "authors": AUTHORS})
    connection.execute(text(_FAMOUS), {"author": AUTHOR})
    people = [f"{number:026d}" for number in range(1, FOLLOWERS + 1)]
    readers, at = {}, AUTHORS
    for count in FOLLOWED:
        readers[count] = people[at : at + READERS]
        at += READERS
        for reader in readers[count]:
            rows = [{"reader": reader, "author": one} for one in rng.sample(people[:AUTHORS], count)]
            connection.execute(text(_FOLLOW), rows)
    connection.execute(text(_ENTRIES))
    for one in (one for some in readers.values() for one in some):
        connection.execute(text(_KEEP), {"reader": one, "most": KEPT})
    connection.commit()
    connection.execute(text("ANALYZE TABLE users, posts, follows, home_entries"))
    return readers


def _plain(statement: TextClause, connection: Connection, reader: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in connection.execute(statement, {"reader": reader, "most": PAGE})]


def _merged(before: Keyset | None, connection: Connection, reader: str) -> list[tuple[Any, ...]]:
    return [(place.created_at, place.item_id) for place in queries.home_feed(connection, reader, before, PAGE)]


MIDDLE = "the same, a page from the middle of the year"
CANDIDATES: Mapping[str, Callable[[Connection, str], list[tuple[Any, ...]]]] = {
    "merged: the page's authors first (chosen)": partial(_merged, None),
    MIDDLE: partial(_merged, Keyset(datetime(2026, 6, 1, tzinfo=UTC), None)),
    "merged: a page of each": partial(_plain, text(_LATERAL)),
    "merged: every post, sorted": partial(_plain, text(_JOINED)),
    "merged: the newest of all, until full": partial(_plain, text(_SCANNED)),
    "fanned out": partial(_plain, text(_ENTRIES_OF)),
}


def read(server: Mysql, connection: Connection, readers: Mapping[int, list[str]]) -> dict[str, dict[str, Any]]:
    """Return what a read costs, by candidate and how many the reader follows."""
    costs = {name: {count: Cost() for count in readers} for name in CANDIDATES}
    for (
        count,
        some,
    ) in readers.items():  # all say the same, but for the author whom everybody follows and who wrote nothing
        shown = [
            [str(one[1]) for one in candidate(connection, some[0])]
            for name, candidate in CANDIDATES.items()
            if "middle" not in name
        ]
        assert all(one == shown[0] for one in shown), count
        assert len(shown[0]) == PAGE, count
    for _ in range(ROUNDS):
        for name, candidate in CANDIDATES.items():
            for count, some in readers.items():
                times = 1 if "until" in name else READS

                def work(some: list[str] = some, candidate: Any = candidate, times: int = times) -> None:
                    for reader in some * times:
                        candidate(connection, reader)

                timed(server, costs[name][count], READERS * times, work)
    return {name: {str(count): cost.record() for count, cost in by.items()} for name, by in costs.items()}


def write(server: Mysql, connection: Connection) -> dict[str, Any]:
    """Return what it costs to fan a post out to 10⁵ followers, to delete it again, and that the followers' number is counted."""
    fanned, taken, counted, left = Cost(), Cost(), Cost(), Cost()
    for number in range(FAN_OUTS):
        values = {"at": datetime(2026, 11, 1, number, tzinfo=UTC), "post_id": f"01JF{number:022d}", "author": AUTHOR}
        timed(
            server, fanned, 1, lambda values=values: (connection.execute(text(_FAN_OUT), values), connection.commit())
        )
    size = connection.execute(
        text(
            "SELECT (data_length + index_length) / GREATEST(table_rows, 1) FROM information_schema.tables"
            " WHERE table_name = 'home_entries' AND table_schema = DATABASE()"
        )
    )
    connection.execute(text("ANALYZE TABLE home_entries"))
    for number in range(FAN_OUTS // 2):
        delete = text("DELETE FROM home_entries WHERE post_id = :post_id")
        values = {"post_id": f"01JF{number:022d}"}
        timed(
            server,
            taken,
            1,
            lambda values=values, delete=delete: (connection.execute(delete, values), connection.commit()),
        )
    count = text("SELECT COUNT(*) FROM follows WHERE followed_id = :author")
    for _ in range(ROUNDS):
        timed(server, counted, 1, lambda: connection.execute(count, {"author": AUTHOR}).scalar())
    leave = text("DELETE FROM follows WHERE followed_id = :author")
    timed(server, left, 1, lambda: (connection.execute(leave, {"author": AUTHOR}), connection.commit()))
    return {
        "fan_out": fanned.record(),
        "take_back": taken.record(),
        "count_followers": counted.record(),
        "delete_followers": left.record(),
        "bytes_an_entry": round(float(size.scalar() or 0)),
    }


def measure(server: Mysql) -> dict[str, Any]:
    migrate(server.url)
    engine = create_engine(server.url, isolation_level="READ COMMITTED")
    with engine.connect() as connection:
        readers = fill(connection)
        found = {"reads": read(server, connection, readers), "writes": write(server, connection)}
    engine.dispose()
    return found


def show(found: Mapping[str, Any]) -> None:
    for name, by in found["reads"].items():
        costs = "  ".join(f"{count}: {cost['mysql_ms']:.2f} + {cost['process_ms']:.2f}" for count, cost in by.items())
        sys.stdout.write(f"{name:48} {costs}\n")
    for name, cost in found["writes"].items():
        sys.stdout.write(f"{name:48} {cost}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULT)
    out: Path = parser.parse_args().out
    engine = engines.ensure(from_environment())
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        folder.chmod(0o755)
        with mysql(engine, folder / "mysql", buffer_pool="512M", log=folder / "mysql.log") as server:
            found = measure(server)
    show(found)
    sizes = {"followers": FOLLOWERS, "authors": AUTHORS, "posts": POSTS, "page": PAGE}
    save(out, {"commit": machine.revision(ROOT), "sizes": sizes, "host": machine.describe(), **found})


if __name__ == "__main__":
    main()
