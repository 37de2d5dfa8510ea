"""The command line: `bapsang-api serve | migrate | like-sync | image-collector | admin | recount | reindex | erase-user | seed | openapi`.

Exit codes: 0 done, 1 failed, 2 wrong usage or settings.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import uvloop

from bapsang_api import endings, jobs, openapi, server
from bapsang_api.app import ROUTERS
from bapsang_api.kit import logs
from bapsang_api.kit.clock import from_wire
from bapsang_api.kit.ids import is_ulid
from bapsang_api.kit.redis.client import EmbeddedRedisMissingError
from bapsang_api.likes.sync import DEADLINE_SECONDS
from bapsang_api.migrate import MigrationError, migrate
from bapsang_api.seed.plan import Sizes
from bapsang_api.seed.service import SeedError, require_meant, target_of
from bapsang_api.settings import Settings, SettingsError
from bapsang_api.uploads.collector import GRACE_HOURS

log = logging.getLogger("bapsang_api")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    logs.configure("info")
    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level)
        return _run(options, settings)
    except (DeclinedError, SeedError, SettingsError, EmbeddedRedisMissingError) as error:
        sys.stderr.write(f"bapsang-api: {error}\n")
        endings.write(endings.of(error))
        return 2
    except (MigrationError, OSError) as error:
        log.error("failed", extra={"command": options.command, "error": logs.describe(error)})
        endings.write(endings.of(error))
        return 1
    except Exception as error:
        # The interpreter would print the texts of the error and its causes, which name hosts.
        log.exception("failed", extra={"command": options.command})
        endings.write(endings.of(error))
        return 1


def _run(options: argparse.Namespace, settings: Settings) -> int:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.command == "serve":
            drain = options.drain_seconds
            if drain is None:
                drain = 0.0 if settings.local_database else 5.0
            serving = server.serve(settings, host=options.host, port=options.port, drain_seconds=drain)
            return 0 if runner.run(serving) else 1
        if options.command == "like-sync":
            work = jobs.like_sync(settings, batch_size=options.batch_size, deadline_seconds=options.deadline)
            return 0 if runner.run(work) else 1
        if options.command == "image-collector":
            grace = timedelta(hours=options.older_than)
            return 0 if runner.run(jobs.collect_images(settings, grace=grace, dry_run=options.dry_run)) else 1
        if options.command == "admin":
            act = jobs.administer(settings, act=options.act, target=options.target, reason=options.reason)
            return 0 if runner.run(act) else 1
        if options.command == "recount":
            counting = jobs.recount(settings, post_ids=options.posts, dry_run=options.dry_run)
            return 0 if runner.run(counting) else 1
        if options.command == "reindex":
            return 0 if runner.run(jobs.reindex(settings)) else 1
        if options.command == "erase-user":
            _confirm(options.yes, f"Erase {options.user} for good? Type yes: ")
            erasing = jobs.erase_user(
                settings, user=options.user, with_posts=options.posts == "erase", reason=options.reason
            )
            return 0 if runner.run(erasing) else 1
        if options.command == "seed":
            return _seed(runner, options, settings)
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


def _seed(runner: asyncio.Runner, options: argparse.Namespace, settings: Settings) -> int:
    require_meant(settings.database_url, options.into)
    try:
        sizes = Sizes(
            users=options.users,
            posts=options.posts,
            comments_per_post=options.comments_per_post,
            likes=options.likes,
            seed=options.seed,
            until=options.until,
        )
    except ValueError as error:
        raise DeclinedError(str(error)) from error
    if options.wipe:
        _confirm(options.yes, f"Lose everything in {target_of(settings.database_url)}? Type yes: ")
    return 0 if runner.run(jobs.seed(settings, sizes, wipe=options.wipe, append=options.append)) else 1


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
    syncing.add_argument(
        "--deadline",
        type=_not_negative,
        default=DEADLINE_SECONDS,
        metavar="SECONDS",
        help="begin no batch after this; the next run goes on (default: %(default)s)",
    )

    documenting = commands.add_parser("openapi", help="print the OpenAPI document")
    documenting.add_argument("--out", type=Path, metavar="FILE", help="write it there instead")
    collecting = commands.add_parser("image-collector", help="delete uploads and images that nothing shows")
    collecting.add_argument("--dry-run", action="store_true", help="only say how many there are")
    collecting.add_argument(
        "--older-than",
        type=_positive,
        default=GRACE_HOURS,
        metavar="HOURS",
        help="for how long they have not been used (default: %(default)s)",
    )

    admin = commands.add_parser("admin", help="act as an administrator; every act is recorded in the audit log")
    acts = admin.add_subparsers(dest="act", required=True)
    for name in jobs.USER_ACTS:
        acts.add_parser(name).add_argument("target", metavar="USER", help="id or e-mail")
    for name in jobs.POST_ACTS:
        acts.add_parser(name).add_argument("target", metavar="POST", help="id")
    for name in jobs.COMMENT_ACTS:
        acts.add_parser(name).add_argument("target", metavar="COMMENT", help="id")
    for act in acts.choices.values():
        act.add_argument("--reason", help="why, for the audit log")

    counting = commands.add_parser(
        "recount", help="compare the counters of posts and comments with their rows and correct them"
    )
    which = counting.add_mutually_exclusive_group(required=True)
    which.add_argument("--all", action="store_true", help="every post, in batches")
    which.add_argument("--posts", nargs="+", type=_ulid, metavar="POST", help="these posts, by id")
    counting.add_argument("--dry-run", action="store_true", help="only report; exit code 1 when anything differs")

    commands.add_parser("reindex", help="make every post found by the search that is not yet")

    erasing = commands.add_parser("erase-user", help="remove at once everything that tells who somebody was")
    erasing.add_argument("user", type=_user, metavar="USER", help="id or e-mail")
    erasing.add_argument(
        "--posts",
        choices=("keep", "erase"),
        default="keep",
        help="keep posts and comments, without the name, or erase them too (default: %(default)s)",
    )
    erasing.add_argument("--reason", help="why, for the audit log")
    erasing.add_argument("--yes", action="store_true", help="do not ask")
    _add_seed(commands.add_parser("seed", help="fill an empty database with a made-up community"))
    return parser


def _add_seed(seeding: argparse.ArgumentParser) -> None:
    for name, default, what in (
        ("--users", 1_000, "people"),
        ("--posts", 10_000, "posts"),
        ("--comments-per-post", 0, "comments a post, on average"),
        ("--likes", 20_000, "likes in all"),
    ):
        seeding.add_argument(name, type=_count, default=default, metavar="N", help=f"{what} (default: {default})")
    seeding.add_argument("--seed", type=int, default=42, metavar="N", help="another community (default: %(default)s)")
    seeding.add_argument(
        "--until",
        type=_moment,
        default="2026-11-01T00:00:00",
        metavar="TIME",
        help="the end of its one year, Seoul time (default: %(default)s)",
    )
    how = seeding.add_mutually_exclusive_group()
    how.add_argument("--append", action="store_true", help="add to what is there")
    how.add_argument("--wipe", action="store_true", help="lose what is there, in Redis too; asks")
    seeding.add_argument("--yes", action="store_true", help="do not ask")
    seeding.add_argument("--into", metavar="HOST/NAME", help="the database, if it is on another machine")


class DeclinedError(Exception):
    """What cannot be undone was not confirmed."""


def _confirm(yes: bool, question: str) -> None:
    """Ask on the terminal unless `yes`. Raises DeclinedError for another answer, and where nobody can be asked."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeclinedError("cannot be undone: give --yes")
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise DeclinedError("nothing was done")


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0")
    return value


def _moment(text: str) -> datetime:
    try:
        return from_wire(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a time such as 2026-11-01T00:00:00") from error


def _ulid(text: str) -> str:
    if not is_ulid(text):
        raise argparse.ArgumentTypeError(f"{text} is not the id of a post")
    return text


def _user(text: str) -> str:
    if "@" not in text and not is_ulid(text):
        raise argparse.ArgumentTypeError(f"{text} is neither an id nor an e-mail")
    return text


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
