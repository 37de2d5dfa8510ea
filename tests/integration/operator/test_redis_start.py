"""How the managed Redis starts on a log that a power loss has cut: a real Redis of the image that the cluster runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from bapsang_local.engine import Engine
from bapsang_operator.build.redis import IMAGE, START

# Each function does its work within the container; `$0` is the start command of the pod.
FUNCTIONS = """
log=/data/appendonlydir/appendonly.aof.1.incr.aof
ask() { redis-cli -s /data/socket --raw "$@"; }
start() {
  sh -c "$0" redis --dir /data --save '' --appendonly yes --port 0 --unixsocket /data/socket >> /data/output 2>&1 &
  until [ "$(ask ping 2> /data/no-answer)" = PONG ]; do kill -0 $! 2> /data/no-answer || return 1; sleep 0.01; done
}
stop() { ask shutdown; wait; }
transaction() { printf 'multi\\nset %s\\nset %s\\nexec\\n' "$1" "$2" | ask; }
shown() { ask mget before first second after | tr '\\n' ','; echo; }
"""
FILL = FUNCTIONS + "rm -rf /data/* && start && ask set before 1 && transaction 'first 1' 'second 2' && stop"
# What Redis makes of a cut log shows at the second start only.
CUT = """
cp $log /data/whole
for size in {sizes}; do
  head -c $size /data/whole > $log
  start && transaction 'after 3' 'after 4' > /data/answers && stop
  start && shown && stop || echo none
done
"""
UNTOUCHED, WHOLE = "1,,,4,", "1,1,2,4,"


@dataclass(frozen=True)
class Machine:
    """A container with a data folder, in which Redis may be started again and again."""

    engine: Engine
    name: str

    def run(self, script: str, start: str = START, given: bytes | None = None) -> str:
        return self.engine.docker("exec", "-i", self.name, "sh", "-c", FUNCTIONS + script, start, input=given)

    def log(self) -> bytes:
        return self.run("cat $log").encode()

    def said(self) -> str:
        """Return what Redis and what stands before it have said so far."""
        return self.run("cat /data/output")


@pytest.fixture(scope="module")
def container(engine: Engine) -> Iterator[Machine]:
    name = f"bapsang-redis-{secrets.token_hex(4)}"
    data = ["--user", "999:999", "--read-only", "--tmpfs", "/data:uid=999,gid=999,mode=700"]
    label = ["--label", "dev.bapsang.test=1", "--network", "none"]
    engine.docker("run", "--detach", "--name", name, *label, *data, "--entrypoint", "sleep", IMAGE, "infinity")
    yield Machine(engine, name)
    engine.docker("rm", "--force", "--volumes", name)


@pytest.fixture
def machine(container: Machine) -> Machine:
    """A machine whose Redis holds `before` and, from one transaction, `first` and `second`; it is stopped."""
    container.run(FILL)
    return container


def cut(machine: Machine, sizes: range, start: str = START) -> list[str]:
    """Return what Redis shows for each size to which its log was cut, after two starts and a transaction between them."""
    return machine.run(CUT.format(sizes=" ".join(map(str, sizes))), start).splitlines()


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.nightly("operator"), id="each byte"), pytest.param(7, id="a sample")]
)
def test_a_transaction_that_was_cut_anywhere_is_taken_away_whole(machine: Machine, step: int) -> None:
    log = machine.log()
    sizes = range(log.index(b"*1\r\n$5\r\nMULTI"), len(log), step)
    assert cut(machine, sizes) == [UNTOUCHED] * len(sizes)
    assert "is taken away" in machine.said()


def test_without_the_repair_half_of_a_transaction_comes_back(machine: Machine) -> None:
    """What the test above guards: without it, that test could pass on a Redis that needs no help."""
    log = machine.log()
    within_second = log.index(b"second") + 3
    assert cut(machine, range(within_second, within_second + 1), 'exec redis-server "$@"') == ["1,1,,4,"]


def test_a_command_that_was_cut_is_left_to_redis(machine: Machine) -> None:
    log = machine.log()
    begin = log.index(b"*3\r\n$3\r\nset\r\n$6\r\nbefore")
    sizes = range(begin + 1, log.index(b"*1\r\n$5\r\nMULTI"), 5)
    assert cut(machine, sizes) == [",,,4,"] * len(sizes)
    assert "is taken away" not in machine.said()


@pytest.mark.parametrize("damage", [b"MULTI", b"EXEC", b"before"])
def test_nothing_behind_other_damage_is_taken_away(machine: Machine, damage: bytes) -> None:
    """A log that is damaged in its middle is for people to look at: the repair would drop all that follows."""
    log = machine.log()
    transaction = log[log.index(b"*1\r\n$5\r\nMULTI") :]
    spoiled = {
        # What Redis 8.0 leaves after a cut when nobody repairs it: a transaction without an end, and more after it.
        b"MULTI": log.removesuffix(b"*1\r\n$4\r\nEXEC\r\n") + transaction,
        b"EXEC": log.replace(b"second", b"\0\0\0\0\0\0\0") + transaction,
        b"before": log.replace(b"$6\r\nbefore", b"$\0\r\nbefore"),
    }[damage]
    machine.run("cat > $log", given=spoiled)
    machine.run("start && stop || true")
    assert machine.log().startswith(spoiled)
    assert "is left to Redis as it is" in machine.said()
    assert "is taken away" not in machine.said()


def test_a_whole_log_and_an_empty_volume_are_started_on_without_a_word(machine: Machine) -> None:
    assert machine.run("start && transaction 'after 3' 'after 4' > /data/answers && shown && stop") == f"{WHOLE}\n"
    assert "left to Redis" not in machine.said()
    machine.run("rm -r /data/appendonlydir; start && stop")
    assert "redis-check-aof" not in machine.said()


def test_redis_takes_the_place_of_the_shell(machine: Machine) -> None:
    """Signals of the kubelet reach Redis itself, so that it ends in order."""
    assert machine.run("start; cat /proc/$!/comm; kill $!; wait $! && echo ended").split() == ["redis-server", "ended"]
