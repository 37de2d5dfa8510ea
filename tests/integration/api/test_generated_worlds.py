"""Generated communities: whatever is blocked, muted, hidden, deleted or withdrawn, no answer shows what it must not.

In each, people read, something changes, and they read again with the tags of what they have: an old answer that is confirmed
by 304 is judged as if it had been sent.
"""

import asyncio
import logging
import os
import random
from typing import Any, Final

import pytest

from bapsang_api.auth import passwords
from bapsang_api.keys import signing_keys
from bapsang_api.kit.security.tokens import TokenIssuer

from .sight_model import Community, Read, drawn, reads
from .sight_stage import Answered, Stage
from .world import PASSWORD, Backend, open_world

AT_ONCE: Final = 10  # communities that are written together
READS: Final = 30  # answers that are judged before a change, and again after it
FEW: Final = 20  # communities of a run that is not nightly
SEED: Final = int(os.environ.get("BAPSANG_TEST_SEED", "20"))


def fault(read: Read, answered: Answered) -> str | None:
    """Return what is wrong with an answer."""
    if answered.status != read.status:
        return f"status {answered.status} for {read.status}"
    if more := answered.shown - read.may:
        return f"shows {sorted(more)}"
    if less := read.must - answered.shown:
        return f"lacks {sorted(less)}"
    return None


async def play(stage: Stage, community: Community) -> int:
    """Read, change and read again; return how many answers were judged."""
    dice, known, done = stage.dice, dict[tuple[Any, str], Answered](), list[str]()
    judged = 0
    for _ in range(3):
        asked = list(reads(community))
        dice.shuffle(asked)
        # What is had already first: an old answer is what must not be confirmed. Half of it is of those concerned.
        asked.sort(key=lambda read: (read.viewer, read.path) not in known)
        theirs = sorted((read for read in asked if read.viewer in stage.concerned), key=lambda read: not read.is_own)
        theirs = theirs[: READS // 2]
        for read in [*theirs, *(read for read in asked if read not in theirs)][:READS]:
            before = known.get((read.viewer, read.path))
            answered = await stage.get(community, read, before.tag if before else None)
            if answered.status == 304:
                assert before is not None
                answered = before
            wrong = fault(read, answered)
            who = read.viewer.marker if read.viewer else "nobody"
            assert wrong is None, f"{community.word} after {done}: {who} at {read.path} {wrong}"
            if answered.status == 200:
                known[read.viewer, read.path] = answered
            judged += 1
        done += [await stage.change(community) for _ in range(dice.randint(1, 3))]
    return judged


async def _worlds(backend: Backend, numbers: range, seed: int) -> int:
    keys = signing_keys(backend.settings)
    judged = 0
    async with open_world(backend) as world:
        settings = backend.settings
        issuer = TokenIssuer(
            keys[0], issuer=settings.issuer, audience=settings.audience, clock=world.clock, ids=world.runtime.ids
        )
        stage = Stage(world, issuer, passwords._HASHER.hash(PASSWORD), random.Random(seed))
        for first in range(0, len(numbers), AT_ONCE):
            made = [drawn(number, stage.dice) for number in numbers[first : first + AT_ONCE]]
            await stage.write(made)
            for community in made:
                for name in ("follow", "follow", "follow", "keep", "keep"):
                    await stage.relate(name, community)
            for community in made:
                judged += await play(stage, community)
                await asyncio.sleep(0)
    return judged


async def test_generated_worlds_show_nobody_what_they_must_not_see(servers: Backend) -> None:
    assert await _worlds(servers, range(FEW), SEED) > FEW * 60


@pytest.mark.nightly("worlds")
async def test_ten_thousand_generated_worlds(servers: Backend) -> None:
    judged = 0
    for part in range(20):
        judged += await _worlds(servers, range(500 * part, 500 * (part + 1)), SEED + part)
    logging.getLogger(__name__).warning("%d answers judged in 10,000 worlds", judged)
    assert judged > 600_000
