"""Command line: `bapsang-operator run` watches and reconciles; `crd` prints the CRD, `plan` the children of a Community."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
import uuid
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any

import yaml
from aiohttp import web

from bapsang_operator import config, logs, names
from bapsang_operator.cluster import credentials, fence
from bapsang_operator.cluster.client import Kube, KubeError
from bapsang_operator.cluster.credentials import Credentials
from bapsang_operator.cluster.lease import Lease, LeaseLostError, Timing
from bapsang_operator.community_metrics import Live
from bapsang_operator.config import Config
from bapsang_operator.controller.reconciler import Reconciler
from bapsang_operator.informer import health
from bapsang_operator.informer.health import Health
from bapsang_operator.informer.queue import WorkQueue
from bapsang_operator.informer.resync import close_gaps, resync
from bapsang_operator.informer.routes import NO_RIGHTS, Routes
from bapsang_operator.informer.scopes import Scopes
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.informer.watch import Watches, install_signal_handlers, registry
from bapsang_operator.kinds import COMMUNITY, WATCHED
from bapsang_operator.manifest import Key
from bapsang_operator.metrics import Metrics
from bapsang_operator.names import PLURAL
from bapsang_operator.offline import command
from bapsang_operator.resource import custom_resource_definition
from bapsang_operator.unwatched.secrets import Secrets

_log = logging.getLogger("bapsang_operator")
#: A CRD that was created a moment ago answers 429, and is discovered, only after some seconds.
_CRD_ATTEMPTS = 20
_CRD_PAUSE = 0.5
#: Answers of an apiserver that may give another one in a moment.
_PASSING = frozenset({0, 404, 429, 500, 503})


class StartError(Exception):
    """The operator cannot start; the message says why and what to do."""


class TaskEndedError(Exception):
    """A task that should run for ever has ended; the message names it."""


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, which people would have to resolve in their heads."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def crd() -> str:
    """Return the CustomResourceDefinition as the YAML file of the chart."""
    head = "# Printed by `bapsang-operator crd`: change operator/bapsang_operator/resource/, not this file.\n"
    body: str = yaml.dump(custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True)
    return head + body


async def run(settings: Config, access: Credentials, namespaces: Sequence[str]) -> None:
    """Run the operator until it is told to stop. Raises StartError, CredentialsError, LeaseLostError or
    TaskEndedError."""
    await access.prepare()
    metrics, gate = Metrics(), fence.Fence()
    clock = asyncio.get_running_loop().time
    queue: WorkQueue[CommunityKey] = WorkQueue()
    store = Store(queue.add)
    leading, stop = asyncio.Event(), asyncio.Event()
    signs = Health((COMMUNITY, *WATCHED), metrics, queue.oldest_active, clock, namespaces)
    # Not the host name alone: a container that starts again must not take itself for the holder of the lease.
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    async with access.session(fence.trace(), identity) as session:
        kube = Kube(access, session, metrics, gate, settings.write_seconds)
        await _check_crd(kube, namespaces)
        timing = Timing(settings.lease_seconds, settings.lease_renew_seconds, settings.lease_retry_seconds)
        lease = Lease(kube, gate, settings.namespace, identity, timing, fence.clock)
        # Slightly less than the interval, so that each resync really reads the Secrets again.
        secrets = Secrets(kube, clock, settings.resync_seconds * 0.75)
        # The watches run while another process leads, too: taking over then needs no listing.
        watches = Watches(registry(access, identity, signs.trace(), store, queue.add_after), stop)
        scopes = Scopes(kube, store, watches, signs, namespaces)
        routes = Routes(kube, store, scopes.all, queue.add, settings.resync_seconds)
        reconciler = Reconciler(
            kube,
            store,
            secrets,
            metrics,
            queue.add_after,
            has_keda=settings.keda,
            outlook=routes.outlook if settings.gateway else lambda _namespace: NO_RIGHTS,
            sees_all=not namespaces,
        )

        async def lead() -> None:
            await lease.acquire()
            _log.info("leading", extra={"lease": f"{settings.namespace}/{names.MANAGER}"})
            leading.set()
            await lease.hold()

        async def work() -> None:
            await leading.wait()
            await scopes.are_tried.wait()
            if settings.gateway:
                await routes.are_tried.wait()
            await queue.work(reconciler)

        def refresh() -> None:
            metrics.leader.set(gate.is_open)
            # What gathers while another process leads waits for nobody.
            metrics.queue_depth.set(queue.depth if gate.is_open else 0)
            metrics.communities.set(len(store.communities()))

        def live() -> Iterator[Live]:
            # Of the leader alone: each Community once, whatever the number of replicas.
            for key in store.communities() if gate.is_open else ():
                community = store.community(key)
                if community is not None:
                    yield Live(community, store.find(Key("CronJob", key.namespace, names.like_sync(key.name))))

        metrics.watch_communities(live)
        runner = web.AppRunner(signs.application(refresh), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=settings.admin_port).start()
        _log.info("started", extra={"namespaces": list(namespaces) or "all", "server": access.server})
        install_signal_handlers(stop)
        jobs: dict[str, Coroutine[Any, Any, None]] = {
            "lease": lead(),
            "watches": watches.run(),
            "resync": resync(kube, store, settings.resync_seconds, queue.add),
            "gaps": close_gaps(kube, store, signs.listed_again, queue.add),
            "event loop": signs.measure(),
            **{f"scope {scope or 'cluster'}": scopes.follow(scope) for scope in scopes.all},
            **{f"routes {scope or 'cluster'}": routes.follow(scope) for scope in scopes.all if settings.gateway},
            **{f"worker {number}": work() for number in range(settings.workers)},
        }
        told = asyncio.create_task(stop.wait())
        leader, *others = tasks = [asyncio.create_task(job, name=name) for name, job in jobs.items()]
        ended: set[asyncio.Task[Any]] = set()
        try:
            ended, _ = await asyncio.wait([told, *tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not leader.done():
                leader.cancel()
                await asyncio.wait([leader])
            await lease.release()
            for task in (told, *others):
                task.cancel()
            await asyncio.gather(told, *tasks, return_exceptions=True)
            await runner.cleanup()
    _judge(ended - {told})
    _log.info("stopped")


def _judge(ended: Iterable[asyncio.Task[Any]]) -> None:
    """Raise LeaseLostError or TaskEndedError: nothing but the wait for a signal ever ends by itself, and a process that
    lived on without one of its tasks would hold the lease and do nothing."""
    for task in ended:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LeaseLostError):
            raise error
        raise TaskEndedError(f'task "{task.get_name()}" has ended: {error!r}') from error


async def _check_crd(kube: Kube, namespaces: Sequence[str]) -> None:
    """Make sure that Communities can be watched: kopf finds no kind that is not served or listed when it starts. Of
    several namespaces it is enough that one is not refused."""
    problem = ""
    for _ in range(_CRD_ATTEMPTS):
        try:
            if await kube.serves(COMMUNITY) and await kube.lists_group(COMMUNITY):
                await _list_one(kube, namespaces)
                return
            problem = f"the apiserver does not serve {PLURAL}.bapsang.dev: install the CRD of the chart first"
        except KubeError as error:
            problem = f"Communities cannot be listed: {error}"
            if error.status not in _PASSING:
                raise StartError(problem) from error
        await asyncio.sleep(_CRD_PAUSE)
    raise StartError(problem)


async def _list_one(kube: Kube, namespaces: Sequence[str]) -> None:
    errors: list[KubeError] = []
    scopes: list[str | None] = [*namespaces] or [None]
    for scope in scopes:
        try:
            await kube.check_list(scope)
            return
        except KubeError as error:
            errors.append(error)
    # What may pass comes first: it is worth another attempt.
    raise min(errors, key=lambda error: error.status not in _PASSING)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bapsang-operator", description="Runs Communities on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="watch and reconcile Communities")
    runs.add_argument(
        "--namespace", action="append", default=[], metavar="NS", help="only this namespace; may be given several times"
    )
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    plans = commands.add_parser(
        "plan", help="print what becomes of the Communities in files, without a cluster, as JSON"
    )
    plans.add_argument("files", nargs="+", metavar="FILE", help="YAML or JSON; - is standard input")
    checks = commands.add_parser("check", help="ask a running operator whether it is alive and ready; for `helm test`")
    checks.add_argument("url", help="its admin port, such as http://127.0.0.1:9000")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit code 1: cannot start or go on, or refused; 2: bad command line, file or environment."""
    arguments = _arguments(argv)
    if arguments.command == "crd":
        sys.stdout.write(crd())
        return 0
    if arguments.command == "plan":
        return command.plan(arguments.files)
    if arguments.command == "check":
        return health.check(arguments.url)
    try:
        settings = config.load(os.environ)
    except config.ConfigError as error:
        sys.stderr.write(f"bapsang-operator: {error}\n")
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings, credentials.load(), [*dict.fromkeys(arguments.namespace)]))
    except (StartError, credentials.CredentialsError) as error:
        _log.error("cannot start: %s", error)
        return 1
    except LeaseLostError as error:
        _log.error("lease lost: %s", error)
        return 1
    except TaskEndedError as error:
        # The kubelet starts the process anew: one that led on without this task would do nothing, and look alive.
        _log.error("ending: %s", error, exc_info=error.__cause__)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
