"""Likes from the click to the database row, through crashes, losses and rivals."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, insert, update

from bapsang_api.likes.store import EPOCH, IDLE, Claim, LikeStore
from bapsang_api.likes.sync import LOCK, LikeSync
from bapsang_api.likes.writeback import store

from .world import API, Backend, Person, World, assert_problem, open_world

pytestmark = pytest.mark.both_databases


async def people(world: World, number: int) -> list[Person]:
    return [await world.person() for _ in range(number)]


async def is_liked(person: Person, post_id: str) -> bool:
    return bool((await person.get(f"/posts/{post_id}")).json()["stats"]["isLiked"])


class DiesBeforeAcknowledging(LikeStore):
    """A write-back that is killed after its commit and before it has told Redis."""

    async def acknowledge(self, claims: Sequence[Claim], _now: object) -> None:
        raise ConnectionAbortedError(claims[0].post_id)


def dying_sync(world: World) -> LikeSync:
    return LikeSync(world.runtime.database, DiesBeforeAcknowledging(world.runtime.redis), world.clock)


async def test_three_users_like_a_post_and_one_takes_it_back(world: World) -> None:
    three = await people(world, 3)
    post_id = await three[0].write_post()
    for person in three:
        assert (await person.toggle(post_id)).status_code == 204
    assert await world.runtime.redis.scard(f"like:users:{post_id}") == 3
    assert await world.runtime.redis.smembers(f"like:users:{post_id}") == await world.numbers(three)
    assert (await world.liked_rows(post_id), await world.shown_likes(post_id)) == (0, 3)

    report = await world.write_back()
    assert (report.ran, report.posts, report.added, report.removed, report.remaining_posts) == (True, 1, 3, 0, 0)
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (3, 3)

    await three[1].toggle(post_id)
    assert await world.shown_likes(post_id) == 2
    assert [await is_liked(person, post_id) for person in three] == [True, False, True]
    report = await world.write_back()
    assert (report.added, report.removed) == (0, 1)
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_put_and_delete_set_the_state_and_repeat_without_effect(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    for method, count in (("PUT", 1), ("PUT", 1), ("DELETE", 0), ("DELETE", 0)):
        assert (await alice.send(method, f"/posts/{post_id}/likes")).status_code == 204
        assert await world.shown_likes(post_id) == count


async def test_toggle_takes_any_body(world: World, subtests: pytest.Subtests) -> None:
    (alice,) = await people(world, 1)
    for body in (b"", b"null", b"{}", b"not json"):
        with subtests.test(body=body):
            post_id = await alice.write_post()
            assert (await alice.send("POST", f"/posts/{post_id}/likes", content=body)).status_code == 204
            assert await world.shown_likes(post_id) == 1


async def test_likes_need_a_token_and_a_post(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    assert_problem(await world.http.post(f"{API}/posts/{post_id}/likes"), 401, "T001")
    for unknown in ("01JD0000000000000000000000", "nonsense"):
        assert_problem(await alice.toggle(unknown), 404, "E404-1")
    # A flood of made-up ids must not fill Redis.
    assert set(await world.runtime.redis.keys("like:*")) <= {EPOCH}


async def test_a_like_taken_back_before_the_write_back_never_reaches_the_database(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await alice.toggle(post_id)
    report = await world.write_back()
    assert (report.posts, report.added, report.removed) == (1, 0, 0)
    assert await world.like_count_column(post_id) == 0


async def test_replay_after_a_death_between_commit_and_acknowledgement_changes_nothing(world: World) -> None:
    alice, bob = await people(world, 2)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    with pytest.raises(ConnectionAbortedError):
        await world.write_back(dying_sync(world))
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (1, 1)
    await bob.toggle(post_id)  # waits in the delta while the claim is replayed
    replay = await world.write_back()
    assert (replay.added, replay.removed) == (0, 0)
    assert replay.remaining_posts == 1
    after = await world.write_back()
    assert (after.added, after.remaining_posts) == (1, 0)
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_many_posts_are_a_handful_of_statements(world: World) -> None:
    alice, *others = await people(world, 3)
    post_ids = [await alice.write_post() for _ in range(12)]
    for post_id in post_ids:
        for person in others:
            await person.toggle(post_id)
    await world.write_back()
    with world.statements() as asked:
        for post_id in post_ids:
            await alice.toggle(post_id)
            await others[0].toggle(post_id)
        asked.clear()
        report = await world.write_back()
    assert (report.added, report.removed) == (12, 12)
    assert len([one for one in asked if one.startswith(("INSERT", "UPDATE", "DELETE"))]) == 2, asked  # counts stay
    for post_id in post_ids:
        assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_counts_are_right_though_somebody_writes_likes_by_hand(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await people(world, 2)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    await alice.toggle(post_id)
    await bob.toggle(post_id)
    await world.write_back()
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (1, 1)
    await alice.toggle(post_id)

    def seen_before_it_came(connection: Connection, pairs: Sequence[store.Pair]) -> set[store.Pair]:
        rows = [{"post_id": post, "user_id": user, "created_at": world.clock.now()} for post, user in pairs]
        connection.execute(insert(store.likes), rows)
        connection.execute(update(store.posts).values(like_count=2))
        return set()

    monkeypatch.setattr(store, "_stored", seen_before_it_came)
    report = await world.write_back()
    assert report.differences == 0  # nothing is left for the reconciliation to mend
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


async def test_a_death_after_claiming_leaves_the_claim_to_the_next_run(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    (claim,) = await LikeStore(world.runtime.redis).claim([post_id], "dead")
    assert (claim.id, claim.changes) == ("dead", {alice.user_id: True})
    await alice.toggle(post_id)
    for _ in range(2):
        await world.write_back()
    assert (await world.liked_rows(post_id), await world.shown_likes(post_id)) == (0, 0)


async def test_counts_and_states_come_back_from_the_database_when_redis_is_lost(world: World) -> None:
    alice, bob, carol = await people(world, 3)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await bob.toggle(post_id)
    await world.write_back()
    await world.runtime.redis.flushdb()
    assert await world.shown_likes(post_id) == 2
    assert await is_liked(alice, post_id)
    await carol.toggle(post_id)
    assert await world.runtime.redis.scard(f"like:users:{post_id}") == 3
    assert await world.shown_likes(post_id) == 3
    await world.write_back()
    assert await world.like_count_column(post_id) == 3


@pytest.mark.parametrize("lost", ["users", "size"])
async def test_loss_of_one_key_loses_no_pending_like(world: World, lost: str) -> None:
    alice, bob, carol = await people(world, 3)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    await world.write_back()
    await bob.toggle(post_id)
    await alice.toggle(post_id)
    await world.runtime.redis.delete(f"like:{lost}:{post_id}")
    assert [await is_liked(person, post_id) for person in (alice, bob, carol)] == [False, True, False]
    await carol.toggle(post_id)
    assert await world.shown_likes(post_id) == 2
    await world.write_back()
    assert (await world.liked_rows(post_id), await world.like_count_column(post_id)) == (2, 2)


@pytest.mark.parametrize("lost", ["users", "size"])
async def test_a_change_after_a_claim_is_what_readers_see(world: World, lost: str) -> None:
    """A post that is not loaded has a claimed like in one hash and the user's later change in another."""
    alice, bob = await people(world, 2)
    post_id = await alice.write_post()
    await bob.toggle(post_id)
    await world.write_back()
    await alice.toggle(post_id)
    await bob.toggle(post_id)
    (claim,) = await LikeStore(world.runtime.redis).claim([post_id], "dead")
    assert claim.changes == {alice.user_id: True, bob.user_id: False}
    await alice.toggle(post_id)
    await bob.toggle(post_id)
    await world.runtime.redis.delete(f"like:{lost}:{post_id}")
    assert [await is_liked(person, post_id) for person in (alice, bob)] == [False, True]


async def test_a_slow_loader_that_was_overtaken_changes_nothing(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    slow = LikeStore(world.runtime.redis)
    await slow.epoch(begin="first")
    assert await slow.begin_load(post_id, "slow")
    assert await slow.stage(post_id, "slow", [4_711], compact=False)
    await world.runtime.redis.delete(f"like:hydrate:{post_id}")  # its time ran out
    await alice.toggle(post_id)
    assert not await slow.stage(post_id, "slow", [4_712], compact=False)
    assert not await slow.finish_load(post_id, "slow", {}, staged=1, compact=False)
    assert await world.runtime.redis.smembers(f"like:users:{post_id}") == await world.numbers([alice])
    assert await world.runtime.redis.keys("like:staged:*") == []


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("again", [[], [3_000]], ids=["all", "part"])
async def test_a_load_whose_staged_likes_were_lost_is_done_again(world: World, compact: bool, again: list[int]) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    loader = LikeStore(world.runtime.redis)
    await loader.epoch(begin="first")
    assert await loader.begin_load(post_id, "token")
    assert await loader.stage(post_id, "token", range(1, 2_501), compact=compact)
    # Evicted, as whatever expires may be; or the power went after `begin_load` had reached the disk, and `stage` not yet.
    await world.runtime.redis.delete(f"like:staged:{post_id}:token")
    assert await loader.stage(post_id, "token", again, compact=compact)
    assert not await loader.finish_load(post_id, "token", {}, staged=2_500 + len(again), compact=compact)
    assert await world.runtime.redis.keys(f"like:*:{post_id}*") == []
    await alice.toggle(post_id)
    assert await world.shown_likes(post_id) == 1


async def test_only_what_is_written_back_may_expire(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    keys = [f"like:users:{post_id}", f"like:size:{post_id}"]
    await alice.toggle(post_id)
    assert [await world.runtime.redis.ttl(key) for key in keys] == [-1, -1]
    await world.write_back()
    for key in keys:
        assert 0 < await world.runtime.redis.ttl(key) <= IDLE.total_seconds()
    await alice.toggle(post_id)
    assert await world.runtime.redis.ttl(keys[1]) == -1


async def test_two_concurrent_runs_do_the_work_once(world: World) -> None:
    five = await people(world, 5)
    post_id = await five[0].write_post()
    for person in five:
        await person.toggle(post_id)
    reports = await asyncio.gather(world.runtime.like_sync.run(), world.runtime.like_sync.run())
    assert sum(report.added for report in reports) == 5
    assert {report.ran for report in reports} <= {True, False}
    assert await world.like_count_column(post_id) == 5


async def test_a_run_finding_another_at_work_leaves_it_alone(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    await alice.toggle(post_id)
    async with world.runtime.database.exclusive(LOCK) as lane:
        assert lane is not None
        assert not (await world.runtime.like_sync.run()).ran
    assert (await world.write_back()).added == 1


async def test_batches_are_bounded_and_take_the_oldest_first(world: World) -> None:
    (alice,) = await people(world, 1)
    posts = [await alice.write_post(f"글 {number}") for number in range(5)]
    order = random.Random(5).sample(posts, len(posts))
    for post_id in order:
        await alice.toggle(post_id)
        world.clock.passed += timedelta(milliseconds=2)
    likes = LikeStore(world.runtime.redis)
    assert await likes.dirty(3, world.clock.now()) == order[:3]
    report = await LikeSync(world.runtime.database, likes, world.clock, batch_size=2).run()
    assert (report.posts, report.batches, report.added) == (5, 3, 5)


async def test_a_run_stops_at_its_deadline_and_says_what_is_left(world: World) -> None:
    (alice,) = await people(world, 1)
    for number in range(3):
        await alice.toggle(await alice.write_post(f"글 {number}"))
    ticks = iter(range(100))
    likes = LikeStore(world.runtime.redis)
    sync = LikeSync(
        world.runtime.database, likes, world.clock, batch_size=1, deadline_seconds=1, timer=lambda: next(ticks)
    )
    report = await sync.run()
    assert (report.posts, report.remaining_posts) == (1, 2)


async def test_likes_of_a_vanished_post_or_user_are_dropped(world: World) -> None:
    (alice,) = await people(world, 1)
    post_id = await alice.write_post()
    ghost = "01JD0000000000000000000000"
    claims = {post_id: {alice.user_id: True, ghost: True}, ghost: {alice.user_id: True}}
    apply = partial(store.apply, claims=claims, now=world.clock.now())
    assert await world.runtime.database.write(apply) == (1, 0)
    assert await world.runtime.database.write(apply) == (0, 0)
    assert await world.like_count_column(post_id) == 1


async def test_random_clicks_losses_and_deaths_end_with_the_truth(servers: Backend) -> None:
    rng = random.Random(11)
    async with open_world(servers) as world:
        crowd = await people(world, 8)
        posts = [await crowd[0].write_post(f"글 {number}") for number in range(3)]
        truth: set[tuple[str, str]] = set()

        async def click(person: Person) -> None:
            for _ in range(40):
                post_id = rng.choice(posts)
                assert (await person.toggle(post_id)).status_code == 204
                truth.symmetric_difference_update({(post_id, person.user_id)})

        clicking = [asyncio.create_task(click(person)) for person in crowd]
        while not all(task.done() for task in clicking):
            await world.runtime.redis.delete(f"like:{rng.choice(['users', 'size'])}:{rng.choice(posts)}")
            if rng.random() < 0.5:
                await world.write_back()
            elif await world.runtime.redis.zcard("like:dirty"):
                with pytest.raises(ConnectionAbortedError):
                    await world.write_back(dying_sync(world))
        await asyncio.gather(*clicking)
        while await world.runtime.redis.zcard("like:dirty"):
            await world.write_back()
        rows = set(await world.rows("SELECT post_id, user_id FROM user_post_likes"))
        assert rows == truth
        for post_id in posts:
            assert await world.like_count_column(post_id) == sum(post == post_id for post, _ in truth)
