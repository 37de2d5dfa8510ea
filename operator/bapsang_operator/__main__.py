"""Command line: `bapsang-operator run` watches and reconciles; `bapsang-operator crd` prints the CRD."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

import yaml
from aiohttp import web

from bapsang_operator import config, credentials, logs, schema, watch
from bapsang_operator.config import Config
from bapsang_operator.credentials import Credentials
from bapsang_operator.health import Health
from bapsang_operator.keep import Keep
from bapsang_operator.kinds import COMMUNITY, WATCHED
from bapsang_operator.kube import Kube, KubeError
from bapsang_operator.metrics import Metrics
from bapsang_operator.names import PLURAL
from bapsang_operator.queue import WorkQueue
from bapsang_operator.reconcile import Reconciler
from bapsang_operator.resync import resync
from bapsang_operator.store import CommunityKey, Store

_log = logging.getLogger("bapsang_operator")
#: A CRD that was created a moment ago answers 429, and is discovered, only after some seconds.
_CRD_ATTEMPTS = 20
_CRD_PAUSE = 0.5


class StartError(Exception):
    """The operator cannot start; the message says why and what to do."""


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, which people would have to resolve in their heads."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def crd() -> str:
    """Return the CustomResourceDefinition as the YAML file of the chart."""
    head = "# Printed by `bapsang-operator crd`: change operator/bapsang_operator/schema/, not this file.\n"
    body: str = yaml.dump(
        schema.custom_resource_definition(), Dumper=_Dumper, sort_keys=False, width=110, allow_unicode=True
    )
    return head + body


async def run(settings: Config, access: Credentials, namespaces: Sequence[str]) -> None:
    """Run the operator until it is told to stop. Raises StartError, or whatever ended the watches."""
    metrics, store = Metrics(), Store()
    clock = asyncio.get_running_loop().time
    queue: WorkQueue[CommunityKey] = WorkQueue()
    health = Health((COMMUNITY, *WATCHED), metrics, queue.oldest_active, clock)
    async with access.session() as session:
        kube = Kube(access, session, metrics)
        await _check_crd(kube, namespaces)
        # Slightly less than the interval, so that each resync really reads the Secrets again.
        keep = Keep(kube, clock, settings.resync_seconds * 0.75)
        reconciler = Reconciler(kube, store, keep, metrics)

        def refresh() -> None:
            metrics.queue_depth.set(queue.depth)
            metrics.communities.set(len(store.communities()))

        runner = web.AppRunner(health.application(refresh), access_log=None)
        await runner.setup()
        tasks = [asyncio.create_task(queue.work(reconciler)) for _ in range(settings.workers)]
        tasks.append(asyncio.create_task(resync(kube, store, namespaces, settings.resync_seconds, queue.add)))
        tasks.append(asyncio.create_task(health.measure()))
        try:
            await web.TCPSite(runner, port=settings.admin_port).start()
            _log.info("started", extra={"namespaces": list(namespaces) or "all", "server": access.server})
            handlers = watch.registry(access, health.trace(), store, queue.add)
            tasks.append(asyncio.create_task(watch.run(handlers, namespaces)))
            # The watches end on a signal. Anything else never ends by itself: if it does, the process must not live on.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _stop(tasks)
            await runner.cleanup()
    _log.info("stopped")


async def _stop(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel all tasks and raise what one of them died of."""
    died = [error for task in tasks if task.done() and not task.cancelled() and (error := task.exception())]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    if died:
        raise died[0]


async def _check_crd(kube: Kube, namespaces: Sequence[str]) -> None:
    """Make sure that Communities can be watched: kopf would wait in silence for a kind that is not served."""
    absent = f"the apiserver does not serve {PLURAL}.bapsang.dev: install the CRD of the chart first"
    problem = absent
    for _ in range(_CRD_ATTEMPTS):
        try:
            if PLURAL in await kube.served_plurals():
                await kube.check_list(namespaces[0] if namespaces else None)
                return
            raise StartError(absent)
        except KubeError as error:
            if error.status not in {0, 404, 429, 500, 503}:
                raise StartError(f"Communities cannot be listed: {error}") from error
            problem = f"Communities cannot be listed: {error}"
        await asyncio.sleep(_CRD_PAUSE)
    raise StartError(problem)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bapsang-operator", description="Runs Communities on Kubernetes.")
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run", help="watch and reconcile Communities")
    runs.add_argument(
        "--namespace", action="append", default=[], metavar="NS", help="only this namespace; may be given several times"
    )
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Exit code 1: cannot start or go on; 2: bad command line or environment."""
    arguments = _arguments(argv)
    if arguments.command == "crd":
        sys.stdout.write(crd())
        return 0
    try:
        settings = config.load(os.environ)
    except config.ConfigError as error:
        sys.stderr.write(f"bapsang-operator: {error}\n")
        return 2
    logs.configure(settings.log_level)
    try:
        asyncio.run(run(settings, credentials.load(), arguments.namespace))
    except (StartError, credentials.CredentialsError) as error:
        _log.error("cannot start: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
