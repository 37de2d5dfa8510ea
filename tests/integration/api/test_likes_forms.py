"""How Redis holds likes: sets of numbers, bitmaps; and who may touch what, when."""

import asyncio
from datetime import timedelta

import pytest

from bapsang_api.kit.problem import Unavailable
from bapsang_api.likes.service import LikeService
from bapsang_api.likes.store import EPOCH, IDLE, LOCK, LikeStore
from bapsang_api.likes.sync import LikeSync
from bapsang_api.posts.views import View
from bapsang_api.users.numbers import UserNumbers

from .world import Person, World, eventually


class Compact:
    """A post whose likes become a bitmap at the third."""

    def __init__(self, world: World) -> None:
        database, redis = world.runtime.database, world.runtime.redis
        self.store = LikeStore(redis, compact_from=3)
        self.service = LikeService(database, self.store, UserNumbers(database), world.clock)
        self.sync = LikeSync(database, self.store, world.clock)

    async def toggle(self, post_id: str, person: Person) -> tuple[bool, int]:
        liked = await self.service.toggle(post_id, person.principal)
        return liked.is_liked, liked.count

    async def likes(self, post_id: str, person: Person) -> bool:
        liked, *_ = await self.service.read(post_id, person.principal, 1, View.of(post_id, None), again=True)
        return liked


async def test_a_post_with_many_likes_becomes_a_bitmap_and_stays_exact(world: World) -> None:
    four = [await world.person() for _ in range(4)]
    post_id = await four[0].write_post()
    redis, compact = world.runtime.redis, Compact(world)
    for number, person in enumerate(four, start=1):
        assert await compact.toggle(post_id, person) == (True, number)
        assert await redis.exists(f"like:users:{post_id}") == (number < 3)
        assert await redis.exists(f"like:bits:{post_id}") == (number >= 3)
    assert await compact.toggle(post_id, four[1]) == (False, 3)
    assert [await compact.likes(post_id, person) for person in four] == [True, False, True, True]
    assert await world.shown_likes(post_id) == 3
    report = await compact.sync.run()
    assert (report.added, report.removed) == (3, 0)
    assert 0 < await redis.ttl(f"like:bits:{post_id}") <= IDLE.total_seconds()
    assert await compact.toggle(post_id, four[1]) == (True, 4)
    assert await redis.ttl(f"like:bits:{post_id}") == -1


async def test_a_lost_bitmap_is_loaded_as_one_with_what_is_pending(world: World) -> None:
    four = [await world.person() for _ in range(4)]
    post_id = await four[0].write_post()
    redis, compact = world.runtime.redis, Compact(world)
    for person in four:
        await compact.toggle(post_id, person)
    await compact.sync.run()
    await compact.toggle(post_id, four[0])  # pending
    await redis.delete(f"like:bits:{post_id}")
    assert [await compact.likes(post_id, person) for person in four] == [False, True, True, True]
    assert await compact.toggle(post_id, four[1]) == (False, 2)
    assert await redis.exists(f"like:bits:{post_id}") == 1
    assert [await compact.likes(post_id, person) for person in four] == [False, False, True, True]
    await compact.sync.run()
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_a_run_that_wakes_up_late_leaves_the_claim_of_the_next_one_alone(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    likes = LikeStore(world.runtime.redis)
    await alice.toggle(post_id)
    late = await likes.claim([post_id], "late")
    await world.write_back()  # takes the claim over, writes and acknowledges it
    await bob.toggle(post_id)
    await likes.claim([post_id], "next")
    await likes.acknowledge(late, world.clock.now())
    assert await world.runtime.redis.hgetall(f"like:claim:{post_id}") == {bob.user_id: "1", "id": "next"}
    for _ in range(2):
        await world.write_back()
    assert (await world.liked_rows(post_id), await world.shown_likes(post_id)) == (2, 2)


async def test_a_load_overtaken_by_a_write_back_is_done_again(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    likes, redis = LikeStore(world.runtime.redis), world.runtime.redis
    await alice.toggle(post_id)
    await redis.delete(f"like:size:{post_id}")
    assert await likes.begin_load(post_id, "slow")  # has read the rows: none yet
    await world.write_back()
    assert not await likes.finish_load(post_id, "slow", {}, staged=0, compact=False)
    assert await world.shown_likes(post_id) == 1
    await bob.toggle(post_id)
    assert await redis.scard(f"like:users:{post_id}") == 2


async def test_a_claim_lost_after_it_was_taken_makes_the_post_load_again(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    likes, redis = LikeStore(world.runtime.redis), world.runtime.redis
    await alice.toggle(post_id)
    claims = await likes.claim([post_id], "mine")
    await redis.delete(f"like:claim:{post_id}", f"like:size:{post_id}")
    await bob.toggle(post_id)  # loads without Alice's like
    await likes.acknowledge(claims, world.clock.now())
    assert await redis.exists(f"like:size:{post_id}") == 0


async def test_nothing_is_loaded_into_an_emptied_redis_while_a_write_back_holds_claims(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    async with world.runtime.database.exclusive(LOCK) as lane:
        assert lane is not None
        await world.runtime.redis.flushdb()
        waiting = asyncio.create_task(alice.toggle(post_id))
        await asyncio.wait([waiting], timeout=0.3)
        assert not waiting.done()
        assert await world.runtime.redis.keys("like:*") == []
    assert (await waiting).status_code == 204
    assert await world.runtime.redis.get(EPOCH)


class EmptiedAfterClaiming(LikeStore):
    """A Redis that is emptied when a run has claimed."""

    emptied = False

    async def epoch(self, *, begin: str | None = None) -> str | None:
        if begin is None:
            self.emptied = True
            await self.redis.flushdb()
        return await super().epoch(begin=begin)


async def test_a_run_whose_claims_redis_lost_writes_nothing(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    likes = EmptiedAfterClaiming(world.runtime.redis)
    with pytest.raises(Unavailable):
        await LikeSync(world.runtime.database, likes, world.clock).run()
    assert likes.emptied
    assert await world.liked_rows(post_id) == 0


async def test_a_number_is_given_only_once(world: World) -> None:
    alice, bob = await world.person(), await world.person()
    numbers = UserNumbers(world.runtime.database)
    await world.change("DELETE FROM user_numbers WHERE user_id = :user", user=alice.user_id)
    given = await asyncio.gather(*(numbers.of_all([alice.user_id]) for _ in range(8)))
    assert len({found[alice.user_id] for found in given}) == 1
    assert (await numbers.of_all([alice.user_id, bob.user_id, "01JD0000000000000000000000"])).keys() == {
        alice.user_id,
        bob.user_id,
    }
    assert await world.numbers([alice]) == {str(given[0][alice.user_id])}


async def test_likes_of_users_without_a_number_are_loaded(world: World) -> None:
    # Users who were seeded have none before they log in.
    alice, bob = await world.person(), await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    await world.runtime.redis.flushdb()
    await world.change("DELETE FROM user_numbers WHERE user_id = :user", user=alice.user_id)
    await bob.toggle(post_id)
    assert await world.shown_likes(post_id) == 2
    assert await world.runtime.redis.smembers(f"like:users:{post_id}") == await world.numbers([alice, bob])


async def test_a_loaded_post_leaves_redis_when_nobody_likes_it_for_a_week(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    for key in ("users", "size"):
        seconds = await world.runtime.redis.ttl(f"like:{key}:{post_id}")
        assert timedelta(days=6) < timedelta(seconds=seconds) <= IDLE
    await eventually(lambda: world.runtime.redis.exists(EPOCH))
    assert await world.runtime.redis.ttl(EPOCH) == -1


async def test_likes_are_loaded_for_who_reads_a_post_again(world: World) -> None:
    alice = await world.person()
    post_id = await alice.write_post()
    redis, compact = world.runtime.redis, Compact(world)
    await compact.toggle(post_id, alice)
    await compact.sync.run()
    await compact.service.withhold(post_id)
    with world.statements() as asked:
        await compact.service.read(post_id, alice.principal, 1, View.of(post_id, None), again=False)
        await asyncio.sleep(0.2)
    assert len([statement for statement in asked if "user_post_likes" in statement]) == 1  # whether it is liked
    assert not await redis.exists(f"like:size:{post_id}")
    assert await compact.likes(post_id, alice)
    await eventually(lambda: redis.exists(f"like:size:{post_id}"))
