"""How far a write-back can be sure that Redis will not forget what is about to be in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis.exceptions
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from bapsang_api.kit.redis.client import OUTAGE

# How long a write-back waits; an append-only file is synced every second.
SECONDS: Final = 4.0


@dataclass(frozen=True, slots=True)
class Durability:
    """What there is to wait for: `log`, the append-only file; `replicas`, how many follow, each of which may be promoted.

    Otherwise the database could hold likes that Redis forgets in a crash or a promotion, and a set without pending changes
    would be trusted although it lacks them.
    """

    log: bool = False
    replicas: int = 0

    def wait(self, pipeline: Pipeline) -> None:
        """Add what waits until all that this pipeline has written before is there."""
        if self.log:
            pipeline.execute_command("WAITAOF", 1, 0, int(SECONDS * 1000))
        if self.replicas:
            pipeline.execute_command("WAIT", self.replicas, int(SECONDS * 1000))

    def check(self, answers: list[Any]) -> None:
        """Raise a Redis TimeoutError unless the answers of a pipeline, to which `wait` was added last, say that it is there."""
        if self.replicas and answers.pop() < self.replicas:
            raise redis.exceptions.TimeoutError(f"not every replica has the claims within {SECONDS} s")
        if self.log and answers.pop()[0] < 1:
            raise redis.exceptions.TimeoutError(f"the append-only file was not synced within {SECONDS} s")


NOT_DURABLE: Final = Durability()


async def durability_of(client: Redis) -> Durability:
    """Return what this Redis has: an append-only file to wait for (from 7.2 on), and replicas that follow right now."""
    try:
        server: Mapping[str, Any] = await client.info()
    except redis.exceptions.NoPermissionError:
        return Durability()
    except OUTAGE:
        raise  # it refuses for now, which says nothing of its log: written back without it, likes could be lost
    except redis.exceptions.ResponseError:
        return Durability()  # the embedded one keeps nothing and has no such command
    following = [server.get(f"slave{number}") for number in range(int(server.get("connected_slaves", 0)))]
    return Durability(
        log=bool(server.get("aof_enabled")) and _version(server) >= (7, 2),
        replicas=sum(isinstance(one, dict) and one.get("state") == "online" for one in following),
    )


def _version(server: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in str(server.get("redis_version", "0")).split(".")[:2])
