"""What a run happens on: the servers, the replica where one is promoted, the networks to them, and what lasts for a while."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .clients import Cast
from .plan import Plan
from .points import MYSQL_SILENT, REDIS_SILENT
from .servers import MysqlServer, RedisServer, redis_server
from .spells import Spells
from .wire import Wire


@dataclass
class Stage:
    """`redis` is the primary at the moment; processes reach it and MySQL as `cast` says, the director directly."""

    redis: RedisServer
    mysql: MysqlServer
    standby: RedisServer | None
    cast: Cast
    spells: Spells
    to_redis: Wire | None

    def swap(self) -> RedisServer:
        """Make the standby the primary for everybody, and return the one before."""
        assert self.standby is not None and self.to_redis is not None  # noqa: PT018 - a promotion's run has both
        before, self.redis, self.standby = self.redis, self.standby, self.redis
        self.spells.end(REDIS_SILENT)
        self.to_redis.to(self.redis.host, self.redis.port)
        return before


@contextlib.contextmanager
def stage(plan: Plan, cast: Cast, redis: RedisServer, mysql: MysqlServer, rng: random.Random) -> Iterator[Stage]:
    """Put up what the plan needs. Networks only where they are asked for: they cost a process, and time."""
    with contextlib.ExitStack() as stack:
        standby = stack.enter_context(redis_server(redis.engine)) if plan.promote else None
        if standby is not None:
            standby.follow(redis)
        wires: dict[str, Wire] = {}
        if plan.silence or plan.promote:
            for silence, server in ((REDIS_SILENT, redis), (MYSQL_SILENT, mysql)):
                wires[silence] = Wire(server.host, server.port)
                stack.callback(wires[silence].close)
            by_wire = {effect: {"host": wire.host, "port": wire.port} for effect, wire in wires.items()}
            cast = replace(
                cast,
                redis_url=replace(redis, **by_wire[REDIS_SILENT]).url,
                mysql_url=replace(mysql, **by_wire[MYSQL_SILENT]).url,
            )
        staged = Stage(redis, mysql, standby, cast, Spells(wires, rng, plan.longest_silence), wires.get(REDIS_SILENT))
        staged.spells.redis = lambda: staged.redis
        yield staged
