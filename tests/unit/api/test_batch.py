"""Many look-ups in one."""

import asyncio
from collections.abc import Collection

import pytest

from bapsang_api.kit.concurrency import Coalescer
from bapsang_api.kit.problem import Unavailable


class Shelf:
    """Answers for even numbers, and remembers what it was asked; `gate` holds its answers back."""

    def __init__(self) -> None:
        self.asked: list[set[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def asked_for(self, times: int) -> None:
        """Wait until that many look-ups have begun."""
        async with asyncio.timeout(10):
            while len(self.asked) < times:  # noqa: ASYNC110 - gives up the loop's turn, nothing else
                await asyncio.sleep(0)

    async def load(self, keys: Collection[int]) -> dict[int, str]:
        self.asked.append(set(keys))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {key: f"no. {key}" for key in keys if key % 2 == 0}


async def test_concurrent_callers_share_one_look_up() -> None:
    shelf = Shelf()
    batch = Coalescer(shelf.load)
    found = await asyncio.gather(*(batch.get(key) for key in (2, 3, 4, 2, 2)))
    assert found == ["no. 2", None, "no. 4", "no. 2", "no. 2"]
    assert shelf.asked == [{2, 3, 4}]


async def test_a_look_up_that_is_under_way_does_not_answer_who_asks_after_it_began() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    batch = Coalescer(shelf.load)
    first = asyncio.ensure_future(batch.get(2))
    await shelf.asked_for(1)
    second = asyncio.ensure_future(batch.get(2))
    await shelf.asked_for(2)
    shelf.gate.set()
    assert await asyncio.gather(first, second) == ["no. 2", "no. 2"]
    assert shelf.asked == [{2}, {2}]


async def test_a_failure_reaches_all_who_wait_and_nobody_after_them() -> None:
    shelf = Shelf()
    shelf.error = Unavailable()
    batch = Coalescer(shelf.load)
    found = await asyncio.gather(batch.get(2), batch.get(4), return_exceptions=True)
    assert [type(error) for error in found] == [Unavailable, Unavailable]
    shelf.error = None
    assert await batch.get(2) == "no. 2"


async def test_a_caller_who_goes_away_takes_nobody_along() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    batch = Coalescer(shelf.load)
    leaving, staying = (asyncio.ensure_future(batch.get(2)) for _ in range(2))
    await shelf.asked_for(1)
    leaving.cancel()
    shelf.gate.set()
    assert await staying == "no. 2"


async def test_the_queue_has_an_end() -> None:
    shelf = Shelf()
    shelf.gate.clear()
    batch = Coalescer(shelf.load, queue=3)
    waiting = [asyncio.ensure_future(batch.get(key)) for key in (2, 4, 6)]
    await asyncio.sleep(0)  # let them ask
    batch.prefetch(8)  # what nobody waits for is left out
    with pytest.raises(Unavailable):
        await batch.get(10)
    shelf.gate.set()
    assert await asyncio.gather(*waiting) == ["no. 2", "no. 4", "no. 6"]


async def test_a_look_up_holds_two_hundred_keys_at_most() -> None:
    shelf = Shelf()
    batch = Coalescer(shelf.load)
    await asyncio.gather(*(batch.get(key) for key in range(450)))
    assert [len(keys) for keys in shelf.asked] == [200, 200, 50]


async def test_what_is_prefetched_comes_along_with_what_somebody_waits_for() -> None:
    shelf = Shelf()
    batch = Coalescer(shelf.load)
    batch.prefetch(4)
    assert await batch.get(2) == "no. 2"
    assert shelf.asked == [{2, 4}]
