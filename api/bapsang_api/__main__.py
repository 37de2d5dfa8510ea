"""The command line: `bapsang-api serve | migrate | like-sync | admin | openapi`.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bapsang_api import jobs, openapi, server
from bapsang_api.app import ROUTERS
from bapsang_api.kit import logs
from bapsang_api.kit.redis import EmbeddedRedisMissingError
from bapsang_api.migrate import MigrationError, migrate
from bapsang_api.settings import Settings, SettingsError

log = logging.getLogger("bapsang_api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level)
        return _run(options, settings)
    except (SettingsError, EmbeddedRedisMissingError) as error:
        sys.stderr.write(f"bapsang-api: {error}\n")
        return 2
    except (MigrationError, OSError) as error:
        log.error("failed", extra={"command": options.command, "error": logs.describe(error)})
        return 1


def _run(options: argparse.Namespace, settings: Settings) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.command == "serve":
            drain = options.drain_seconds
            if drain is None:
                drain = 0.0 if settings.local_database else 5.0
            runner.run(server.serve(settings, host=options.host, port=options.port, drain_seconds=drain))
            return 0
        if options.command == "like-sync":
            return 0 if runner.run(jobs.like_sync(settings, batch_size=options.batch_size)) else 1
        if options.command == "admin":
            act = jobs.administer(settings, act=options.act, target=options.target, reason=options.reason)
            return 0 if runner.run(act) else 1
    if options.command == "openapi":
        _write_document(options.out)
        return 0
    migrate(settings.database_url, wait_seconds=options.wait)
    return 0


def _write_document(out: Path | None) -> None:
    text = json.dumps(openapi.document(ROUTERS), ensure_ascii=False, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bapsang-api", description="The community API and its jobs.")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="serve HTTP until SIGTERM")
    serve.add_argument("--host", default="127.0.0.1", help="address of both listeners (default: %(default)s)")
    serve.add_argument("--port", type=int, default=8000, help="public port (default: %(default)s)")
    serve.add_argument(
        "--drain-seconds",
        type=_not_negative,
        help="how long to go on serving after SIGTERM while readiness fails (default: 5, on SQLite 0)",
    )

    migrating = commands.add_parser("migrate", help="bring the database schema up to date")
    migrating.add_argument(
        "--wait",
        type=_not_negative,
        default=0.0,
        metavar="SECONDS",
        help="how long to wait for the database (default: 0)",
    )

    syncing = commands.add_parser("like-sync", help="write pending likes and views to the database once")
    syncing.add_argument(
        "--batch-size", type=_positive, default=500, metavar="N", help="posts a transaction (default: 500)"
    )

    documenting = commands.add_parser("openapi", help="print the OpenAPI document")
    documenting.add_argument("--out", type=Path, metavar="FILE", help="write it there instead")

    admin = commands.add_parser("admin", help="act as an administrator; every act is recorded in the audit log")
    acts = admin.add_subparsers(dest="act", required=True)
    for name in jobs.USER_ACTS:
        acts.add_parser(name).add_argument("target", metavar="USER", help="id or e-mail")
    for name in jobs.POST_ACTS:
        acts.add_parser(name).add_argument("target", metavar="POST", help="id")
    for act in acts.choices.values():
        act.add_argument("--reason", help="why, for the audit log")
    return parser


def _not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds from 0")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
