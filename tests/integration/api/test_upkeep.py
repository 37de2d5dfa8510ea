"""Counting again, and the commands of upkeep."""

import asyncio
import os
import pty
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bapsang_api.kit.problem import NotFound
from bapsang_api.likes.store import LOCK
from bapsang_api.upkeep.recount import Recount
from bapsang_api.upkeep.store import RecountStore

from .process import BARE, PROGRAM, log_lines, run_here
from .world import Backend, World, open_world

pytestmark = pytest.mark.both_databases

NOBODY = "01JD0000000000000000000000"
ROWS = (
    "INSERT INTO users (id, nickname, user_role, user_status, created_at) VALUES (:id, '앨리스', 'USER', 'ACTIVE', NOW(6))",
    "INSERT INTO user_auth (id, user_id, email, provider) VALUES (:id, :id, 'a@example.com', 'LOCAL')",
    "INSERT INTO posts (id, user_id, title, created_at, view_count, like_count, comment_count, post_status)"
    " VALUES (:id, :id, '밥', NOW(6), 0, 3, 0, 'ACTIVE')",
)


def recount(world: World, batch_size: int = 2) -> Recount:
    return Recount(world.runtime.database, RecountStore(world.runtime.redis, world.clock), batch_size=batch_size)


async def test_nothing_differs_while_likes_wait_are_claimed_and_are_written(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    posts = [await alice.write_post() for _ in range(5)]
    for post_id in posts[:3]:
        await bob.toggle(post_id)
    assert (await recount(world).run(None, dry_run=True)).fields() | {"posts": 0} == {
        "posts": 0, "like_differences": 0, "comment_differences": 0, "reply_differences": 0, "redis_differences": 0, "dry_run": True
    }  # fmt: skip
    await world.write_back()
    await alice.toggle(posts[0])
    await bob.toggle(posts[1])
    report = await recount(world).run(None, dry_run=False)
    assert (report.posts, report.differences) == (5, 0)
    assert [await world.shown_likes(post_id) for post_id in posts] == [2, 0, 1, 0, 0]


async def test_a_wrong_counter_is_reported_and_corrected_only_without_dry_run(world: World) -> None:
    alice = await world.person()
    posts = [await alice.write_post() for _ in range(3)]
    await alice.toggle(posts[0])
    await world.write_back()
    await world.change("UPDATE posts SET like_count = 7 WHERE id = :p", p=posts[0])
    await world.change("UPDATE posts SET like_count = -1 WHERE id = :p", p=posts[2])
    dry = await recount(world).run(None, dry_run=True)
    assert (dry.like_differences, await world.like_count_column(posts[0])) == (2, 7)
    assert (await recount(world).run([posts[1]], dry_run=False)).differences == 0
    assert (await recount(world).run(None, dry_run=False)).like_differences == 2
    assert [await world.like_count_column(post_id) for post_id in posts] == [1, 0, 0]
    assert (await recount(world).run(None, dry_run=False)).differences == 0


async def test_wrong_counts_of_comments_and_of_replies_are_corrected(world: World) -> None:
    alice = await world.person()
    post_id, other = [await alice.write_post() for _ in range(2)]
    top = await alice.write_comment(post_id)
    answered = await alice.write_comment(post_id, parent=top)
    await alice.write_comment(post_id, parent=answered)
    await alice.write_comment(other, parent=await alice.write_comment(other))
    await alice.send("DELETE", f"/posts/{post_id}/comments/{answered}")
    assert (await recount(world).run(None, dry_run=True)).differences == 0
    await world.change("UPDATE posts SET comment_count = 9 WHERE id = :p", p=post_id)
    await world.change("UPDATE comments SET reply_count = reply_count + 1 WHERE depth = 0")
    report = await recount(world).run([post_id], dry_run=False)
    assert (report.comment_differences, report.reply_differences) == (1, 1)
    assert await world.rows("SELECT comment_count FROM posts WHERE id = :p", p=post_id) == [(2,)]
    assert await world.rows("SELECT reply_count FROM comments WHERE comment_id = :c", c=top) == [(2,)]
    assert (await recount(world).run(None, dry_run=True)).fields()["reply_differences"] == 1


async def test_likes_that_redis_got_wrong_are_loaded_again_and_keep_what_is_pending(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    await bob.toggle(post_id)
    await world.runtime.redis.sadd(f"like:users:{post_id}", NOBODY)
    await world.runtime.redis.incr(f"like:size:{post_id}")
    assert await world.shown_likes(post_id) == 3
    assert (await recount(world).run(None, dry_run=True)).redis_differences == 1
    assert (await recount(world).run([post_id], dry_run=False)).redis_differences == 1
    await alice.send("PUT", f"/posts/{post_id}/likes")
    assert await world.shown_likes(post_id) == 2
    assert (await recount(world).run(None, dry_run=True)).differences == 0


async def test_an_unknown_post_is_refused(world: World) -> None:
    with pytest.raises(NotFound):
        await recount(world).run([NOBODY], dry_run=False)


async def test_a_recount_waits_for_the_write_back(servers: Backend) -> None:
    async with open_world(servers) as world:
        await (await world.person()).write_post()
        async with world.runtime.database.exclusive(LOCK):
            waiting = asyncio.create_task(recount(world).run(None, dry_run=False))
            done, _ = await asyncio.wait({waiting}, timeout=0.3)
            assert not done
        assert (await waiting).posts == 1


async def test_counts_stay_exact_while_people_like_and_a_recount_runs(servers: Backend) -> None:
    async with open_world(servers) as world:
        people = [await world.person() for _ in range(6)]
        posts = [await people[0].write_post() for _ in range(4)]
        for turn in range(4):
            toggles = [person.toggle(post_id) for person in people for post_id in posts[: turn + 1]]
            reports = await asyncio.gather(recount(world).run(None, dry_run=False), *toggles)
            assert reports[0].differences == 0
            await world.write_back()
        for post_id in posts:
            assert await world.like_count_column(post_id) == await world.liked_rows(post_id)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["recount"], "one of --all and --posts is required"),
        (["recount", "--all", "--posts", NOBODY], "not allowed with"),
        (["recount", "--posts", "x"], "x is not the id of a post"),
        (["erase-user"], "Missing argument 'USER'"),
        (["erase-user", "alice"], "alice is neither an id nor an e-mail"),
        (
            ["erase-user", "a@example.com", "--posts", "hide"],
            "'--posts': Value error, 'hide' is not one of 'keep', 'erase'",
        ),
        (["erase-user", "a@example.com"], "give --yes"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_to_do(tmp_path: Path, arguments: list[str], says: str) -> None:
    ended = run_here(*arguments, cwd=tmp_path)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_erasure_asks_on_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [*PROGRAM, "erase-user", "a@example.com"],
        env=BARE,
        cwd=tmp_path,
        stdin=theirs,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"no\n")
    _, said = asking.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert asking.returncode == 2
    assert said.startswith("Erase a@example.com for good? Type yes: ")
    assert "nothing was done" in said


def test_the_commands_say_by_their_exit_code_how_they_ended(tmp_path: Path, servers: Backend) -> None:
    def ended(*arguments: str, **changed: str) -> tuple[int, dict[str, object]]:
        done = run_here(*arguments, cwd=tmp_path, **{**servers.environment, **changed})
        assert "example.com" not in done.stderr
        return done.returncode, log_lines(done.stderr)[-1]

    engine = create_engine(servers.environment["BAPSANG_DATABASE_URL"])
    with engine.connect() as connection:
        for row in ROWS:
            connection.execute(text(row), {"id": NOBODY})
        connection.commit()
    engine.dispose()
    code, line = ended("recount", "--all", "--dry-run")
    assert (code, line["event"], line["like_differences"]) == (1, "recount.done", 1)
    assert ended("recount", "--posts", NOBODY)[0] == 0
    assert ended("recount", "--all", "--dry-run")[0] == 0
    assert ended("recount", "--posts", NOBODY[:-1] + "1")[1]["error"] == "unknown post"
    nowhere = "redis://127.0.0.1:1/0"
    assert ended("recount", "--all", BAPSANG_REDIS_URL=nowhere)[0] == 1
    assert ended("erase-user", "b@example.com", "--yes")[1]["error"] == "unknown user"
    code, line = ended("erase-user", "a@example.com", "--yes", "--reason", "asked")
    assert (code, line["event"], line["user_id"], line["was_active"]) == (0, "erase_user.done", NOBODY, True)
    assert ended("erase-user", NOBODY, "--yes")[1]["was_active"] is False
