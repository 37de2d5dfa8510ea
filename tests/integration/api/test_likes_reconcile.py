"""The rolling reconciliation finds what should never be there, says so and repairs it."""

import logging
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient

from bapsang_api.likes.store import DIRTY, LOCK
from bapsang_api.upkeep.recount import Reconciliation
from bapsang_api.upkeep.store import Loaded, RecountStore

from .world import World

pytestmark = pytest.mark.both_databases


async def reconcile(world: World, slice_size: int = 1_000) -> int:
    async with world.runtime.database.exclusive(LOCK) as lane:
        assert lane is not None
        return await Reconciliation(RecountStore(world.runtime.redis, world.clock)).run(lane, slice_size=slice_size)


async def written_post(world: World) -> str:
    """A post that two people like, in Redis and in the database."""
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    for person in (alice, bob):
        await person.toggle(post_id)
    await world.write_back()
    return post_id


async def metrics(world: World) -> dict[str, str]:
    async with AsyncClient(transport=ASGITransport(world.runtime.admin), base_url="http://admin") as admin:
        lines = (await admin.get("/metrics")).text.splitlines()
    return dict(line.split() for line in lines if line.startswith("bapsang_like_"))


async def test_nothing_differs_and_every_post_gets_its_turn(world: World) -> None:
    posts = {await written_post(world) for _ in range(3)}
    assert await reconcile(world) == 0
    store = RecountStore(world.runtime.redis, world.clock)
    start = await store.progress()
    for _ in range(2):
        assert await reconcile(world, slice_size=2) == 0
    done = await store.progress()
    assert (done.posts - start.posts, done.turns - start.turns, done.after) == (len(posts), 1, "")
    assert (await metrics(world))["bapsang_like_differences"] == "0.0"


async def test_a_wrong_count_is_reported_and_repaired(world: World, caplog: pytest.LogCaptureFixture) -> None:
    post_id = await written_post(world)
    await world.change("UPDATE posts SET like_count = 7")
    report = await world.write_back()
    assert report.differences == 5
    assert await world.like_count_column(post_id) == 2
    (record,) = [record for record in caplog.records if record.message == "recount.difference"]
    assert (record.levelno, record.__dict__["post_id"]) == (logging.ERROR, post_id)
    assert (await metrics(world))["bapsang_like_differences"] == "5.0"
    assert await reconcile(world) == 0


async def test_a_set_that_is_not_what_the_database_holds_is_loaded_again(world: World) -> None:
    post_id = await written_post(world)
    await world.change("DELETE FROM user_post_likes")
    await world.change("UPDATE posts SET like_count = 0")
    assert await reconcile(world) == 2
    assert await world.shown_likes(post_id) == 0
    assert await reconcile(world) == 0


async def test_likes_that_have_lost_a_key_are_loaded_again_and_no_difference(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody was shown anything wrong: a set is not trusted whose size is another one than the number beside it."""
    post_id = await written_post(world)
    assert await world.runtime.redis.unlink(f"like:users:{post_id}")
    assert await reconcile(world) == 0
    (record,) = [record for record in caplog.records if record.message == "recount.difference"]
    assert (record.__dict__["counter"], record.__dict__["post_id"]) == ("redis_keys", post_id)
    assert await world.shown_likes(post_id) == 2
    caplog.clear()
    assert await reconcile(world) == 0
    assert not caplog.records


async def test_pending_changes_are_no_difference_and_a_lost_mark_is_made_again(world: World) -> None:
    post_id = await written_post(world)
    carol = await world.person()
    await carol.toggle(post_id)
    await world.runtime.redis.delete(DIRTY)
    assert await reconcile(world) == 0
    report = await world.write_back()
    assert (report.added, report.remaining_posts) == (1, 0)
    assert await world.like_count_column(post_id) == 3


async def test_what_changes_while_rows_are_counted_is_no_difference(world: World) -> None:
    post_id = await written_post(world)
    carol = await world.person()

    class Changing(RecountStore):
        async def loaded(self, *arguments: Any) -> list[Loaded]:
            found = await super().loaded(*arguments)
            await carol.toggle(post_id)
            return found

    async with world.runtime.database.exclusive(LOCK) as lane:
        assert lane is not None
        assert await Reconciliation(Changing(world.runtime.redis, world.clock)).run(lane) == 0
