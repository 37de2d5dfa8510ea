"""The command line: `bapsang-api serve | migrate | like-sync | image-collector | admin | recount | reindex | …` (`--help`).

Exit codes: 0 done, 1 failed (or refused), 2 wrong usage or settings. A command is a function; its docstring is its help.
"""

import json
import logging
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import typer
from typer.main import get_command

from bapsang_api import arguments, endings, erasing, jobs, mailing, moving, openapi, photos, server
from bapsang_api.app import ROUTERS
from bapsang_api.arguments import DeclinedError, confirm
from bapsang_api.importing.old import OldSchemaError
from bapsang_api.importing.service import ImportRefusedError, Options
from bapsang_api.kit import logs
from bapsang_api.kit.redis.client import EmbeddedRedisMissingError
from bapsang_api.likes.sync import DEADLINE_SECONDS
from bapsang_api.media import command
from bapsang_api.migrate import MigrationError, migrate
from bapsang_api.preflight import require_verified
from bapsang_api.process import code_of, read_settings
from bapsang_api.seed.plan import Sizes
from bapsang_api.seed.service import SeedError, require_meant, target_of
from bapsang_api.settings import SettingsError
from bapsang_api.uploads.collector import GRACE_HOURS

log = logging.getLogger("bapsang_api")

_DAY: Final = 86_400
app = typer.Typer(
    help="The community API and its jobs.",
    rich_markup_mode=None,  # plain text: Rich would cost whoever asks for help 70 ms and 7 MiB
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    logs.configure("info")
    try:
        code: int = get_command(app).main(given, prog_name="bapsang-api", standalone_mode=False)
    except typer.TyperException as error:
        return _refuse(f"{' '.join(error.format_message().split())} (see --help)")
    except (
        DeclinedError,
        ImportRefusedError,
        OldSchemaError,
        SeedError,
        SettingsError,
        EmbeddedRedisMissingError,
    ) as error:
        endings.write(endings.of(error))
        return _refuse(str(error))
    except (MigrationError, OSError) as error:
        log.error("failed", extra={"command": given[0], "error": logs.describe(error)})
        endings.write(endings.of(error))
        return 1
    except Exception as error:
        # The interpreter would print the texts of the error and its causes, which name hosts.
        log.exception("failed", extra={"command": given[0]})
        endings.write(endings.of(error))
        return 1
    return code


def _refuse(text: str) -> int:
    sys.stderr.write(f"bapsang-api: {text}\n")
    return 2


@app.command()
def serve(
    host: Annotated[
        str, typer.Option(help="address of both listeners; 0.0.0.0 is every address, IPv6 too")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="public port")] = 8000,
    drain_seconds: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=_DAY,
            metavar="SECONDS",
            help="how long to go on serving after SIGTERM while readiness fails (default: 5, on SQLite 0)",
        ),
    ] = None,
) -> int:
    """Serve HTTP until SIGTERM."""
    settings = read_settings()
    if drain_seconds is None:
        drain_seconds = 0.0 if settings.local_database else 5.0
    return code_of(server.serve(settings, host=host, port=port, drain_seconds=drain_seconds))


@app.command("migrate")
def migrate_schema(
    wait: Annotated[
        float, typer.Option(min=0, max=_DAY, metavar="SECONDS", help="how long to wait for the database")
    ] = 0.0,
) -> int:
    """Bring the database schema up to date."""
    settings = read_settings()
    require_verified(settings)
    migrate(settings.database_url, wait_seconds=wait)
    return 0


@app.command()
def like_sync(
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="posts a transaction")] = 500,
    deadline: Annotated[
        float,
        typer.Option(min=0, max=_DAY, metavar="SECONDS", help="begin no batch after this; the next run goes on"),
    ] = DEADLINE_SECONDS,
) -> int:
    """Write pending likes and views to the database once."""
    return code_of(jobs.like_sync(read_settings(), batch_size=batch_size, deadline_seconds=deadline))


@app.command("openapi")
def print_openapi(
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="write it there instead")] = None,
) -> int:
    """Print the OpenAPI document."""
    read_settings()
    text = json.dumps(openapi.document(ROUTERS), ensure_ascii=False, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")
    return 0


app.command()(command.check_image)
app.command()(mailing.mail)
app.command()(mailing.bounces)


@app.command()
def media(
    host: Annotated[str, typer.Option(help="address of the listener for probes and metrics")] = "127.0.0.1",
) -> int:
    """Make the variants of uploaded photos, one at a time, until SIGTERM."""
    return code_of(photos.work(read_settings(), host=host))


@app.command()
def variants(
    every: Annotated[bool, typer.Option("--all", help="of every image that has none yet")] = False,
) -> int:
    """Have variants made of photos that were published before there were any. `media` makes them; says how far it is."""
    settings = read_settings()
    if not every:
        raise typer.TyperException("--all is required")
    return code_of(photos.fill_back(settings))


@app.command()
def image_collector(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say how many there are")] = False,
    older_than: Annotated[
        int, typer.Option(min=1, metavar="HOURS", help="for how long they have not been used")
    ] = GRACE_HOURS,
) -> int:
    """Delete uploads and images that nothing shows."""
    return code_of(jobs.collect_images(read_settings(), grace=timedelta(hours=older_than), dry_run=dry_run))


@app.command()
def admin(
    act: Annotated[jobs.Act, typer.Argument(metavar="ACT", help="what to do")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="a user's id or e-mail, a post's or a comment's id")],
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="why, for the audit log")] = None,
) -> int:
    """Act as an administrator; every act is recorded in the audit log."""
    return code_of(jobs.administer(read_settings(), act=act, target=target, reason=reason))


@app.command()
def recount(
    every: Annotated[bool, typer.Option("--all", help="every post, in batches")] = False,
    posts: Annotated[
        list[str] | None, typer.Option(parser=arguments.post_id, metavar="POST ...", help="these posts, by id")
    ] = None,
    # An option takes one value here, so the second post of `--posts A B` comes as an argument.
    more: Annotated[list[str] | None, typer.Argument(parser=arguments.post_id, metavar="POST", hidden=True)] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only report; exit code 1 when anything differs")] = False,
) -> int:
    """Compare the counters of posts and comments with their rows and correct them."""
    if every and (posts or more):
        raise typer.BadParameter("not allowed with --all", param_hint="'--posts'")
    if not every and not posts:
        raise typer.TyperException("one of --all and --posts is required")
    post_ids = None if every else [*(posts or ()), *(more or ())]
    return code_of(jobs.recount(read_settings(), post_ids=post_ids, dry_run=dry_run))


@app.command()
def reindex() -> int:
    """Make every post found by the search that is not yet."""
    return code_of(jobs.reindex(read_settings()))


@app.command()
def erase_user(
    user: Annotated[str, typer.Argument(parser=arguments.user, metavar="USER", help="id or e-mail")],
    posts: Annotated[
        Literal["keep", "erase"], typer.Option(help="keep posts and comments, without the name, or erase them too")
    ] = "keep",
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="why, for the audit log")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> int:
    """Remove at once everything that tells who somebody was."""
    settings = read_settings()
    confirm(yes, f"Erase {user} for good? Type yes: ")
    return code_of(erasing.erase_user(settings, user=user, with_posts=posts == "erase", reason=reason))


@app.command()
def replay_erasures(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say how many there are")] = False,
) -> int:
    """After a backup was restored: erase again who has withdrawn or was erased since."""
    return code_of(erasing.replay_erasures(read_settings(), dry_run=dry_run))


@app.command("import")
def import_old(
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="its database: mysql+pymysql://user:password@host/name")
    ] = None,
    variable: Annotated[
        str | None, typer.Option("--from-env", metavar="NAME", help="the variable that holds this URL")
    ] = None,
    times: Annotated[Literal["utc", "seoul"], typer.Option(help="in which zone it wrote times")] = "utc",
    batch: Annotated[int, typer.Option(min=1, max=5_000, metavar="N", help="rows a transaction")] = 1_000,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="write nothing; only say what would become of it")] = False,
) -> int:
    """Take over the users, posts, comments and likes of an older server. Killed, it goes on where it was."""
    settings, old = read_settings(), moving.source_of(source, variable, os.environ)
    return code_of(moving.move_in(settings, source=old, options=Options(batch, times == "seoul", dry_run)))


@app.command()
def seed(
    users: Annotated[int, typer.Option(min=0, metavar="N", help="people")] = 1_000,
    posts: Annotated[int, typer.Option(min=0, metavar="N", help="posts")] = 10_000,
    comments_per_post: Annotated[int, typer.Option(min=0, metavar="N", help="comments a post, on average")] = 0,
    likes: Annotated[int, typer.Option(min=0, metavar="N", help="likes in all")] = 20_000,
    number: Annotated[int, typer.Option("--seed", metavar="N", help="another community")] = 42,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="the end of its one year, Seoul time")
    ] = "2026-11-01T00:00:00",
    append: Annotated[bool, typer.Option("--append", help="add to what is there")] = False,
    wipe: Annotated[bool, typer.Option("--wipe", help="lose what is there, in Redis too; asks")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    into: Annotated[
        str | None, typer.Option(metavar="HOST/NAME", help="the database, if it is on another machine")
    ] = None,
) -> int:
    """Fill an empty database with a made-up community."""
    if append and wipe:
        raise typer.BadParameter("not allowed with --append", param_hint="'--wipe'")
    end = arguments.moment(until)
    settings = read_settings()
    require_meant(settings.database_url, into)
    try:
        sizes = Sizes(users, posts, comments_per_post, likes, number, end)
    except ValueError as error:
        raise DeclinedError(str(error)) from error
    if wipe:
        confirm(yes, f"Lose everything in {target_of(settings.database_url)}? Type yes: ")
    return code_of(jobs.seed(settings, sizes, wipe=wipe, append=append))


if __name__ == "__main__":
    sys.exit(main())
