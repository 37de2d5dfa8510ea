"""What the worker of photos does in a second, and what people notice while it drains a backlog. Prints tables; saves JSON.

`PYTHONPATH=manifests/local python -m tests.load.photo_throughput [--quick]` saves docs/benchmarks/media.json (quick: into the
cache). MySQL, Redis, S3, two API processes, the load generator and one real `bapsang-api media` share two cores; the worker
has the weight of nice 10 among them, which a pod with a small request has. Photos are put into the queue as the API does it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

import boto3
from sqlalchemy import create_engine
from tests.integration.api.bucket import ACCESS, REGION, SECRET, create_bucket, serving_s3
from tests.load import results
from tests.load.bench import generator, machine, mix, servers
from tests.load.bench.interpreter import OfMachine
from tests.load.bench.outcome import Outcome, Run
from tests.load.bench.proc import cpu_seconds, memory, two_cores
from tests.load.bench.processes import fetch
from tests.load.bench.scenario import READ_CLASSES, WRITE_CLASSES
from tests.load.bench.world import Options, World, cache_of, opened
from tests.photos import exif, scene, written

from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.ids import Ids
from bapsang_api.media.verdict import Use
from bapsang_api.uploads import photo, queries, rules, store
from bapsang_api.uploads.models import Image
from bapsang_api.uploads.rules import Category
from bapsang_local import engine as engines
from bapsang_local.settings import from_environment

ROOT: Final = Path(__file__).parents[2]
RESULT: Final = ROOT / "docs" / "benchmarks" / "media.json"
#: By name: the file, and how many of it are made.
FILES: Final[dict[str, tuple[Callable[[], bytes], int]]] = {
    "12 MP JPEG": (lambda: written(scene(4032, 3024), "JPEG", quality=90, exif=exif(6)), 10),
    "48 MP JPEG": (lambda: written(scene(8064, 6048), "JPEG", quality=80, exif=exif(6)), 5),
    "12 MP HEIC": (lambda: written(scene(4032, 3024), "HEIF", quality=60), 6),
}
#: Of the backlog: small, so that a thousand are drained within minutes. It is the number that could hurt others.
SMALL: Final = (640, 480)
_AT_ONCE: Final = 8
_LOOK_SECONDS: Final = 0.1
_MOST_SECONDS: Final = 600.0
# The weight of its session where the kernel groups by it; `media` itself is nice, too.
_WORKER: Final = 'echo 10 > /proc/self/autogroup 2> /dev/null; exec "$0" "$@"'


@dataclass
class Site:
    """The servers, with a bucket, and a place for keys."""

    world: World
    s3: str
    bucket: str
    ids: Ids
    drained_at: float = 0.0  # by time.monotonic()

    @property
    def pids(self) -> dict[str, int]:
        (s3,) = (pid for pid, command in _commands() if command.startswith("versitygw") and self.s3[7:] in command)
        return {"mysql": self.world.mysql.pid, "s3": s3}

    def enqueue(self, content: bytes, count: int) -> None:
        """Put photos into the queue, as the API does once it has copied their uploads."""
        client = boto3.session.Session().client(
            "s3", endpoint_url=self.s3, region_name=REGION, aws_access_key_id=ACCESS, aws_secret_access_key=SECRET
        )
        image_ids = [self.ids.new() for _ in range(count)]
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            put = partial(client.put_object, Bucket=self.bucket, Body=content)
            for done in [pool.submit(put, Key=rules.original_key(image_id)) for image_id in image_ids]:
                done.result()
        now, owner = datetime.now(UTC), self.world.people[0][1]
        rows = [_row(image_id, owner, now) for image_id in image_ids]
        engine = create_engine(self.world.mysql.url)
        with engine.begin() as connection:
            store.add(connection, rows)
            queries.enqueue(connection, image_ids, now)
        engine.dispose()

    def left(self) -> int:
        return int(self.world.mysql.one("SELECT COUNT(*) FROM images WHERE due_at IS NOT NULL"))

    @contextlib.contextmanager
    def drained(self) -> Iterator[threading.Event]:
        """Look meanwhile; yields what is set once nothing is left, which `drained_at` says the time of."""
        is_drained, is_over = threading.Event(), threading.Event()

        def look() -> None:
            while not is_over.wait(_LOOK_SECONDS * 5):
                if not is_drained.is_set() and not self.left():
                    self.drained_at = time.monotonic()
                    is_drained.set()

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield is_drained
        finally:
            is_over.set()
            thread.join()

    @contextlib.contextmanager
    def worker(self) -> Iterator[int]:
        """Run `bapsang-api media`; yields its process id once it is ready."""
        port = servers.free_port()
        environment = {
            **self.world.environment,
            **{"BAPSANG_S3_BUCKET": self.bucket, "BAPSANG_S3_REGION": REGION, "BAPSANG_S3_ENDPOINT": self.s3},
            **{"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "BAPSANG_ADMIN_PORT": str(port)},
        }
        command = ["-c", _WORKER, sys.executable, "-m", "bapsang_api", "media"]
        with OfMachine("sh").running(command, environment, self.world.logs / "media.log") as pid:
            servers.wait_for(lambda: fetch(f"http://127.0.0.1:{port}/readyz"), (OSError,))
            yield pid
            refused = self.world.mysql.one("SELECT COUNT(*) FROM images WHERE photo NOT LIKE '[\"READY\"%'")
            _require(refused == 0, f"{refused} photos were not made, {self.world.logs / 'media.log'} says why")


def _row(image_id: str, owner: str, now: datetime) -> Image:
    return Image(
        id=image_id,
        owner_id=owner,
        upload_key=f"users/{owner}/post/{image_id}.jpg",
        object_key=rules.public_key(Category.POST_IMAGE, image_id),
        created_at=now,
        confirmed_at=now,
        photo=photo.pending(*SMALL, Use.POST),
        etag="0" * 32,
    )


def _commands() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_text().split("\0")
            yield int(folder.name), f"{Path(words[0]).name} {' '.join(words[1:])}"


def throughput(site: Site, rounds: float) -> dict[str, Any]:
    """Return what one photo of each kind costs the worker, its decoder and its servers. Nothing else runs meanwhile."""
    found = {}
    for name, (make, usual) in FILES.items():
        content, count = make(), max(2, round(usual * rounds))
        site.enqueue(content, count)
        pids = site.pids
        before = {server: cpu_seconds(pid) for server, pid in pids.items()}
        with site.worker() as worker:
            begun, spent = time.monotonic(), cpu_seconds(worker)  # its start is no photo's
            already = count - site.left()
            highest = 0.0
            with site.drained() as drained:
                while not drained.wait(_LOOK_SECONDS / 4):
                    highest = max(highest, _decoder_mib(worker))
                    _require(time.monotonic() - begun < _MOST_SECONDS, "the photos are not made")
            wall, cpu, own = site.drained_at - begun, cpu_seconds(worker) - spent, memory(worker)["peak_mib"]
        made = count - already
        found[name] = {
            **{"photos": made, "bytes": len(content), "seconds": round(wall / made, 3)},
            **{"cpu_seconds": round(cpu / made, 3), "a_second_and_core": round(made / cpu, 2)},
            **{"decoder_mib": round(highest), "worker_mib": round(own)},
            **{
                f"{server}_ms": round((cpu_seconds(pid) - before[server]) / count * 1e3, 1)
                for server, pid in pids.items()
            },
        }
        sys.stdout.write(f"{name}: {found[name]}\n")
    return found


def _decoder_mib(worker: int) -> float:
    """Return the most memory that the process that decodes now has had so far; 0 without one."""
    highest = 0.0
    for path in Path(f"/proc/{worker}/task").glob("*/children"):
        with contextlib.suppress(OSError, KeyError):  # it ends at this moment
            highest = max([highest, *(memory(int(child))["peak_mib"] for child in path.read_text().split())])
    return highest


def _require(holds: bool, fault: str) -> None:
    if not holds:
        raise SystemExit(f"Ended: {fault}.")


def backlog(site: Site, options: Options, count: int) -> dict[str, Any]:
    """Return the latencies of the mix at one rate: alone, and then while a worker drains `count` photos."""
    world = site.world
    mix.grow(world, options)
    alone = _sent(world, options)
    site.enqueue(written(scene(*SMALL), "JPEG", quality=85), count)
    parts: list[Run] = []
    with site.worker() as worker, site.drained() as drained:
        begun, spent = time.monotonic(), cpu_seconds(worker)
        while not drained.is_set():
            _require(time.monotonic() - begun < _MOST_SECONDS, "the backlog is not drained")
            parts.append(_sent(world, options))
        used = cpu_seconds(worker) - spent
    seconds = site.drained_at - begun
    return {
        **{"photos": count, "width": SMALL[0], "height": SMALL[1], "seconds": round(seconds)},
        **{"rate": options.rate, "worker_cores": round(used / seconds, 2)},
        "alone": _levels([alone]),
        "draining": _levels(parts),
    }


def _sent(world: World, options: Options) -> Run:
    return mix.at_rate(world, options.rate, options.seconds, warmup=mix.WARM_SECONDS)[0]


def _levels(runs: list[Run]) -> dict[str, Any]:
    def of(classes: tuple[str, ...]) -> dict[str, float]:
        outcome = Outcome.merged(run.outcome(*classes) for run in runs)
        return {"n": outcome.requests, "p50": round(outcome.p50(), 1), "p99": round(outcome.p99(), 1)}

    errors = sum(run.outcome().errors for run in runs)
    holds = all(mix.within(run) for run in runs)
    seconds = round(sum(run.seconds for run in runs))
    return {
        "seconds": seconds,
        "reads": of(READ_CLASSES),
        "writes": of(WRITE_CLASSES),
        "errors": errors,
        "holds": holds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="that it works, not what it costs")
    parser.add_argument("--photos", type=int, help="of the backlog (default: 1,000; quick 30)")
    parser.add_argument(
        "--rate", type=float, default=1_000, help="of the mix, requests a second (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, help="of each part of the mix (default: 40; quick 8)")
    parser.add_argument("--posts", type=int, help="seeded posts (default: 50,000; quick 2,000)")
    parser.add_argument("--out", type=Path, help="where the figures go")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    os.sched_setaffinity(0, two_cores())
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    seconds = given.seconds or (8 if given.quick else 40)
    options = Options(
        **{"quick": given.quick, "seconds": seconds, "step_seconds": seconds, "rounds": 1, "round_seconds": 1.0},
        **{"connections": 32, "rate": given.rate},
    )
    settings = from_environment()
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        s3 = stack.enter_context(serving_s3(folder))
        world = stack.enter_context(
            opened(
                settings,
                engines.ensure(settings),
                generator.build(settings),
                posts=given.posts or (2_000 if given.quick else 50_000),
                people=2_000,
                buffer_pool="1G",
                python=OfMachine(sys.executable),
                count=2,
            )
        )
        site = Site(world, s3, create_bucket(s3, "photos").name, Ids(SystemClock()))
        found = {
            "commit": machine.revision(ROOT),
            "files": throughput(site, 0.2 if given.quick else 1.0),
            "backlog": backlog(site, options, given.photos or (30 if given.quick else 1_000)),
        }
    found["minutes"] = round((time.monotonic() - begun) / 60, 1)
    results.save(given.out or (cache_of(settings) / "media.json" if given.quick else RESULT), found)


if __name__ == "__main__":
    main()
