"""The command line: what each command takes, does and answers, without a server."""

import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.api.process import BARE
from tests.unit.operator.world import IMAGE, children, community, pod_templates
from typer.main import get_command

from bapsang_api import __main__, erasing, jobs, mailing, moving, photos, server
from bapsang_api.__main__ import app, main

COMMANDS: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
ID, OTHER = "01JD0000000000000000000000", "01JD0000000000000000000001"
#: What a command cannot do without.
NEEDED = {
    "admin": ["grant", "a@example.com"],
    "recount": ["--all"],
    "erase-user": ["a@example.com", "--yes"],
    "check-image": ["/etc/hostname"],
    "import": ["--from", "mysql+pymysql://old.example.com/bapsang"],
}
Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ.keys() - BARE.keys():
        monkeypatch.delenv(name)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """What is asked of the service, which does nothing and succeeds."""
    calls: Asked = []

    def pretended(name: str, parameters: inspect.Signature) -> Callable[..., Coroutine[Any, Any, bool]]:
        async def work(*arguments: Any, **options: Any) -> bool:
            given = parameters.bind(*arguments, **options).arguments
            calls.append((name, {key: value for key, value in given.items() if key != "settings"}))
            return True

        return work

    for module, names in (
        (server, ["serve"]),
        (jobs, ["like_sync", "collect_images", "administer", "recount", "reindex", "seed"]),
        (erasing, ["erase_user", "replay_erasures"]),
        (mailing, ["work", "read_bounces"]),
        (moving, ["move_in"]),
        (photos, ["work", "fill_back"]),
    ):
        for name in names:
            monkeypatch.setattr(module, name, pretended(name, inspect.signature(getattr(module, name))))
    monkeypatch.setattr(
        __main__, "migrate", lambda _url, *, wait_seconds: calls.append(("migrate", {"wait_seconds": wait_seconds}))
    )
    return calls


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids="".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_says_what_a_command_does_and_takes(
    command: list[str], flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, flag]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(" ".join(["Usage: bapsang-api", *command]))
    assert err == ""
    for name in COMMANDS if not command else ():
        assert f"\n  {name} " in out
    for parameter in COMMANDS[command[0]].params if command else ():
        assert parameter.help or parameter.hidden, parameter.name


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "Missing command"),
        (["srve"], "'srve'"),
        *(([name, *NEEDED.get(name, ()), "--nonsense"], "--nonsense") for name in COMMANDS),
        *(([name, *NEEDED.get(name, ()), "--dry-run", "x"], "") for name in ("image-collector", "recount")),
        (["serve", "--port", "http"], "'--port'"),
        (["serve", "--port"], "'--port'"),
        *((["serve", "--drain-seconds", text], "'--drain-seconds'") for text in ("-1", "nan", "inf", "soon")),
        (["migrate", "--wait", "-1"], "'--wait'"),
        (["like-sync", "--batch-size", "0"], "'--batch-size'"),
        (["like-sync", "--deadline", "-0.1"], "'--deadline'"),
        (["image-collector", "--older-than", "0"], "'--older-than'"),
        (["admin"], "'ACT'"),
        (["admin", "crown", "a@example.com"], "'ACT'"),
        (["admin", "grant"], "'TARGET'"),
        (["recount"], "one of --all and --posts is required"),
        (["recount", ID], "one of --all and --posts is required"),
        (["recount", "--all", ID], "'--posts': not allowed with --all"),
        (["recount", "--posts", ID, "x"], "x is not the id of a post"),
        (["erase-user", "a@example.com", "b@example.com"], "b@example.com"),
        (["seed", "--likes", "-1"], "'--likes'"),
        (["seed", "--append", "--wipe"], "'--wipe': not allowed with --append"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_usage_does_nothing_and_exits_2_with_one_line_that_names_it(
    arguments: list[str], named: str, asked: Asked, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), asked) == ("", 1, [])
    assert err.startswith("bapsang-api: ")
    assert named in err


@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"check-image"}))  # which has none
def test_every_command_refuses_a_wrong_setting_first(
    command: str, asked: Asked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BAPSANG_LOG_LEVEL", "Wonderland")
    assert main([command, *NEEDED.get(command, ())]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n"), asked) == ("", 1, [])
    assert err.startswith("bapsang-api: BAPSANG_LOG_LEVEL ")
    assert "Wonderland" not in err


@pytest.mark.parametrize(
    ("line", "name", "given"),
    [
        ("serve", "serve", {"host": "127.0.0.1", "port": 8000, "drain_seconds": 0.0}),
        (
            "serve --host 127.0.0.2 --port=1 --drain-seconds 5",
            "serve",
            {"host": "127.0.0.2", "port": 1, "drain_seconds": 5.0},
        ),
        ("migrate --wait 600", "migrate", {"wait_seconds": 600.0}),
        ("like-sync", "like_sync", {"batch_size": 500, "deadline_seconds": 50.0}),
        ("like-sync --batch-size 7 --deadline 45", "like_sync", {"batch_size": 7, "deadline_seconds": 45.0}),
        ("image-collector", "collect_images", {"grace": timedelta(hours=24), "dry_run": False}),
        ("image-collector --dry-run --older-than 1", "collect_images", {"grace": timedelta(hours=1), "dry_run": True}),
        *(
            (f"admin {act} x --reason y", "administer", {"act": act, "target": "x", "reason": "y"})
            for act in ("grant", "revoke", "block", "unblock", "hide", "show", "hide-comment", "show-comment")
        ),
        ("recount --all", "recount", {"post_ids": None, "dry_run": False}),
        (f"recount --posts {ID} {OTHER} --dry-run", "recount", {"post_ids": [ID, OTHER], "dry_run": True}),
        (f"recount --posts {ID} --posts {OTHER}", "recount", {"post_ids": [ID, OTHER], "dry_run": False}),
        ("mail --host 127.0.0.2", "work", {"host": "127.0.0.2"}),
        ("bounces", "read_bounces", {"file": Path("-")}),
        ("bounces mbox", "read_bounces", {"file": Path("mbox")}),
        ("reindex", "reindex", {}),
        (f"erase-user {ID} --yes", "erase_user", {"user": ID, "with_posts": False, "reason": None}),
        (
            "erase-user a@example.com --posts erase --yes --reason asked",
            "erase_user",
            {"user": "a@example.com", "with_posts": True, "reason": "asked"},
        ),
    ],
)
def test_a_command_asks_for_what_it_was_given(line: str, name: str, given: dict[str, Any], asked: Asked) -> None:
    assert main(line.split()) == 0
    assert asked == [(name, given)]


def test_seed_takes_sizes_and_the_end_of_its_year(asked: Asked) -> None:
    assert (
        main(
            ["seed", "--users", "5", "--posts", "4", "--likes", "3", "--seed", "-2", "--until", "2026-01-01T00:00:00Z"]
        )
        == 0
    )
    [(name, given)] = asked
    sizes = given["sizes"]
    assert (name, given["wipe"], given["append"]) == ("seed", False, False)
    assert (sizes.users, sizes.posts, sizes.likes, sizes.comments_per_post, sizes.seed) == (5, 4, 3, 0, -2)
    assert sizes.until.isoformat() == "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(("done", "code"), [(True, 0), (False, 1)])
def test_the_exit_code_says_whether_it_was_done(done: bool, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(_settings: object) -> bool:
        return done

    monkeypatch.setattr(jobs, "reindex", work)
    assert main(["reindex"]) == code


def test_an_error_ends_with_1_and_the_name_of_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(_settings: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(jobs, "reindex", work)
    assert main(["reindex"]) == 1
    assert '"event": "failed", "command": "reindex", "error": "ZeroDivisionError' in capsys.readouterr().err


def test_what_the_operator_puts_into_pods_is_what_the_commands_take(asked: Asked) -> None:
    storage = {"bucket": "media"}
    pods = pod_templates(children(community(storage=storage, imageCollector={"enabled": True})))
    run = [box["args"] for pod in pods.values() for box in pod["spec"]["containers"] if box["image"] == IMAGE]
    assert {arguments[0] for arguments in run} == {"serve", "migrate", "like-sync", "image-collector", "media"}
    for arguments in run:
        assert main(arguments) == 0
    assert len(asked) == len(run)


def test_no_process_pays_for_boxes_and_colours() -> None:
    program = (
        "import sys; from bapsang_api.__main__ import main\n"
        "assert (main(['--help']), main(['serve', '--prot', '1'])) == (0, 2)\n"
        "sys.exit(' '.join({'rich', 'pygments', 'markdown_it'} & sys.modules.keys()) or None)"
    )
    ended = subprocess.run([sys.executable, "-c", program], env=BARE, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1), ended.stderr
