"""docs/tutorial.md, followed word for word on a copy of the working tree; only the port is another one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"^(<!-- not run: [^\n]+ -->\n)?```(console|diff)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SERVE = "make dev"
NEW = "tests/integration/api/test_member_since.py"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the tutorial touches, with the environment of this interpreter."""
    for name in ("api", "operator", "tests", "manifests"):
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / ".venv/ready").touch()  # newer than what it is made from: nothing is installed
    if (tmp_path / NEW).exists():  # a reader who has followed the page runs this test as well
        for diff in (text for _, kind, text in BLOCKS if kind == "diff"):
            _apply(tmp_path, diff, undo=True)
        (tmp_path / NEW).unlink()
    return tmp_path


@pytest.mark.timeout(900)  # some ten seconds of CPU, in processes one after the other
def test_every_step_does_what_the_page_says(copy: Path) -> None:
    assert len(BLOCKS) == PAGE.count("```") / 2
    port, s3_port, mail_port = _free_ports(3)
    makefile = copy / "Makefile"
    makefile.write_text(makefile.read_text().replace("8000", str(port)))
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PYTHON", "BAPSANG_"))
    }
    environment |= {"PYTHONPATH": f"{copy}/api:{copy}/operator", "BAPSANG_ADMIN_PORT": "0"}
    environment |= {"S3_PORT": str(s3_port), "MAIL_PORT": str(mail_port)}
    with contextlib.ExitStack() as server:
        for left_out, kind, text in BLOCKS:
            block = text.replace("8000", str(port))
            if left_out:
                continue
            if kind == "diff":
                _apply(copy, block)
            elif block.startswith(f"$ {SERVE}\n"):
                server.close()
                first = server.enter_context(_serving(copy, environment, port))
                assert first == block.splitlines()[1]
            else:
                _run(copy, environment, block)


def test_commands_that_the_test_leaves_out_are_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    left_out = "".join(text for marker, _, text in BLOCKS if marker)
    named = {target for words in re.findall(r"make (?:-s )?([a-z -]+)", left_out) for target in words.split()}
    assert {"up", "tilt", "kubeconfig", "format", "lint", "test-unit"} <= named <= targets


def _run(copy: Path, environment: dict[str, str], block: str) -> None:
    """Run the commands of a block in one shell; those with `# fails` must. What they write must be what the block shows."""
    script, shown = [], []
    for line in block.splitlines():
        if line.startswith("$ "):
            command, _, comment = line.removeprefix("$ ").partition("   # ")
            script.append(f"! {command}" if comment == "fails" else command)
        else:
            shown.append(re.escape(line).replace("…", ".*"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", " &&\n".join(script)],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    assert re.fullmatch("\n".join(shown), done.stdout.strip(), re.DOTALL), f"{block}\n{done.stdout}"


def _apply(copy: Path, diff: str, *, undo: bool = False) -> None:
    """Apply a diff whose hunks name no lines, so each must fit in exactly one place."""
    path = copy / re.findall(r"^\+\+\+ b/(.+)$", diff, re.MULTILINE)[0]
    text = path.read_text() if path.exists() else ""
    for hunk in re.split(r"^@@.*\n", diff, flags=re.MULTILINE)[1:]:
        lines = hunk.splitlines(keepends=True)
        sides = ["".join(line[1:] for line in lines if line[0] != sign) for sign in "+-"]
        before, after = reversed(sides) if undo else sides
        assert not before or text.count(before) == 1, f"{path.name}: this fits {text.count(before)} times\n{hunk}"
        text = text.replace(before, after) if before else after
    path.write_text(text)


@contextlib.contextmanager
def _serving(copy: Path, environment: dict[str, str], port: int) -> Iterator[str]:
    """Yield the first line that `make dev` writes, once it answers; end it as Ctrl-C does."""
    with (copy / "dev.log").open("w+") as log:
        process = subprocess.Popen(
            SERVE.split(), cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 200
            while not _answers(port):
                assert process.poll() is None, (copy / "dev.log").read_text()
                assert time.monotonic() < deadline, (copy / "dev.log").read_text()
                time.sleep(0.05)
            yield (copy / "dev.log").read_text().splitlines()[0]
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(100)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    """Return ports, no two the same."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
