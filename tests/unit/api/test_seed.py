"""The made-up community, before any database: the same for the same numbers, and everything counted right."""

import io
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from bapsang_api.kit.progress import Progress
from bapsang_api.seed.plan import BLOCK, YEAR, Plan, Row, Sizes, like_counts
from bapsang_api.seed.service import SeedError, require_meant
from bapsang_api.seed.store import COLUMNS

UNTIL = datetime(2026, 11, 1, tzinfo=UTC)
SIZES = Sizes(users=300, posts=BLOCK + 100, comments_per_post=3, likes=9_000, seed=42, until=UNTIL)


def rows_of(sizes: Sizes, offset: int = 0) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for block in Plan(sizes, "hash", offset=offset).blocks():
        for table, rows in block.rows.items():
            found.setdefault(table, []).extend(rows)
    return found


def column(rows: dict[str, list[Row]], table: str, name: str) -> list[object]:
    return [row[COLUMNS[table].index(name)] for row in rows[table]]


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return rows_of(SIZES)


def test_the_same_numbers_give_the_same_rows_and_another_seed_others(rows: dict[str, list[Row]]) -> None:
    assert rows_of(SIZES) == rows
    other = Sizes(**{**vars(SIZES), "seed": 43})
    assert not set(column(rows_of(other), "posts", "id")) & set(column(rows, "posts", "id"))


def test_every_counter_is_the_number_of_its_rows(rows: dict[str, list[Row]]) -> None:
    for counter, table in (("like_count", "user_post_likes"), ("comment_count", "comments")):
        counted = Counter(column(rows, table, "post_id"))
        shown = dict(zip(column(rows, "posts", "id"), column(rows, "posts", counter), strict=True))
        assert shown == {post_id: counted[post_id] for post_id in shown}
    assert len(rows["user_post_likes"]) == len(set(rows["user_post_likes"])) == SIZES.likes
    groups = Counter(row[5] for row in rows["comments"] if row[3] is not None)
    assert all(row[-1] == (groups[row[0]] if row[3] is None else 0) for row in rows["comments"])


def test_replies_hang_on_an_earlier_comment_of_the_same_post_one_deeper(rows: dict[str, list[Row]]) -> None:
    known = {row[0]: row for row in rows["comments"]}
    for row in rows["comments"]:
        if row[3] is None:
            assert (row[4], row[5]) == (0, row[0])
            continue
        parent = known[row[3]]
        assert (parent[2], parent[5], parent[4] + 1) == (row[2], row[5], row[4])
        assert parent[7] <= row[7]
    assert {row[4] for row in rows["comments"]} == {0, 1, 2, 3}


def test_ids_and_names_are_unique_and_names_are_allowed(rows: dict[str, list[Row]]) -> None:
    names = column(rows, "users", "nickname") + column(rows_of(SIZES, offset=300), "users", "nickname")
    assert len(set(names)) == 600
    assert all(re.fullmatch(r"[가-힣a-zA-Z0-9]{1,10}", str(name)) for name in names)
    for table in ("users", "posts", "comments"):
        ids = [row[0] for row in rows[table]]
        assert len(set(ids)) == len(ids)
    assert column(rows, "posts", "id") == sorted(map(str, column(rows, "posts", "id")))


def test_everything_happens_within_the_year_and_nothing_before_its_author_joined(rows: dict[str, list[Row]]) -> None:
    first, last = (f"{moment:%Y-%m-%d %H:%M:%S.%f}" for moment in (UNTIL - YEAR, UNTIL))
    for table in ("users", "posts", "user_post_likes", "comments"):
        assert all(first <= str(moment) <= last for moment in column(rows, table, "created_at"))
    assert max(map(str, column(rows, "users", "created_at"))) < min(map(str, column(rows, "posts", "created_at")))
    assert datetime.fromisoformat(str(rows["posts"][-1][3])).replace(tzinfo=UTC) > UNTIL - timedelta(days=1)


@pytest.mark.parametrize(("users", "posts", "likes"), [(1, 1, 1), (3, 1000, 3000), (1000, 50, 49_999), (10, 10, 0)])
def test_likes_are_handed_out_to_the_last_one(users: int, posts: int, likes: int) -> None:
    counts = like_counts(users, posts, likes, Random(1))
    assert (sum(counts), len(counts)) == (likes, posts)
    assert max(counts) <= users


def test_a_few_posts_have_most_of_the_likes() -> None:
    counts = sorted(like_counts(100_000, 10_000, 100_000, Random(1)), reverse=True)
    assert sum(counts[:100]) > 100_000 / 3
    assert counts[0] > 100 * counts[5_000]


@pytest.mark.parametrize(("users", "posts", "likes"), [(0, 1, 0), (10, 10, 101)])
def test_what_cannot_be_is_refused_by_the_name_of_its_option(users: int, posts: int, likes: int) -> None:
    with pytest.raises(ValueError, match=r"^--(users|likes): "):
        Sizes(users=users, posts=posts, comments_per_post=0, likes=likes, seed=1, until=UNTIL)


@pytest.mark.parametrize(
    ("url", "into", "allowed"),
    [
        ("sqlite:///./bapsang.sqlite3", None, True),
        ("mysql+pymysql://u:secret@127.0.0.1:3306/bapsang", None, True),
        ("mysql+pymysql://u:secret@db.example.com/bapsang", None, False),
        ("mysql+pymysql://u:secret@db.example.com/bapsang", "db.example.com/bapsang", True),
        ("mysql+pymysql://u:secret@db.example.com/bapsang", "mysql/bapsang", False),
        ("mysql+pymysql://u:secret@localhost/bapsang", "mysql/bapsang", False),
    ],
)
def test_a_database_elsewhere_is_filled_only_when_named(url: str, into: str | None, allowed: bool) -> None:
    if allowed:
        return require_meant(url, into)
    with pytest.raises(SeedError) as refused:
        require_meant(url, into)
    assert "secret" not in str(refused.value)
    return None


def test_a_terminal_shows_a_bar_with_rate_and_time_left() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    now = [0.0]
    terminal = Terminal()
    progress = Progress(1000, out=terminal, timer=lambda: now[0])
    now[0] = 10.0
    progress.add(250)
    assert "25%  250 rows  25/s  about 0:30 left" in terminal.getvalue()
    now[0] = 40.0
    progress.add(750)
    progress.end()
    assert terminal.getvalue().endswith("100%  1,000 rows  25/s  in 0:40\x1b[K\n")
