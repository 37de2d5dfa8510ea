"""Runs parts of the nightly tier, each within half an hour, and saves what came of each as docs/nightly/PART.json.

Without a part: lists all with their state. `all` runs those without a current pass, so an interrupted run goes on where it
ended. Standard library only: it installs the development environment itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import bapsang_local  # noqa: F401 - refuses unsupported machines by name

from . import nightly_parts
from .nightly_parts import ROOT, Part

#: A part that takes longer is ended and has failed.
SECONDS = 30 * 60
#: For fixtures to stop their servers after an interrupt.
_STOP_SECONDS = 60
_BIN = ROOT / ".venv" / "bin"
#: What must be there before the clock of a part starts.
_PREPARE = {
    "nothing": ("make", "-s", ".venv/ready"),
    "images": ("make", "-s", ".venv/ready", "images"),
    "cluster": ("make", "-s", ".venv/ready", "up", "browser"),
}


def main(arguments: list[str] | None = None) -> int:
    """Exit codes: 0 all that ran has passed, 1 something has not or is stale, 2 usage, 130 interrupted."""
    parts = nightly_parts.parts()
    parser = argparse.ArgumentParser(prog=".ci/nightly", description=__doc__)
    parser.add_argument("part", nargs="*", metavar="PART", help=f"all, {', '.join(parts)}")
    parser.add_argument("--again", action="store_true", help="with `all`: run parts with a current pass as well")
    parser.add_argument("--stale", action="store_true", help="exit with 1 when a part has no current pass")
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.part if name not in {*parts, "all"}]:
        parser.error(f"there is no part {unknown[0]}: all, {', '.join(parts)}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what ends CI's job ends what it has started
    states = nightly_parts.states()
    if given.stale or not given.part:
        show(parts, states)
        return int(given.stale and any(state != "passed" for state in states.values()))
    if "all" in given.part:
        wanted = [name for name in parts if given.again or states[name] != "passed"]
        for name in (name for name in parts if name not in wanted):
            say(f"{name}: has passed with the paths as they are; --again runs it again")
    else:
        wanted = given.part
    try:
        failed = [name for name in wanted if not run(parts[name], place=f"{wanted.index(name) + 1} of {len(wanted)}")]
    except KeyboardInterrupt:
        say("interrupted; `.ci/nightly all` goes on with what is left")
        return 130
    say(
        f"{len(wanted) - len(failed)} of {len(wanted)} parts have passed{': failed ' if failed else ''}{', '.join(failed)}"
    )
    return int(bool(failed))


def show(parts: dict[str, Part], states: dict[str, str]) -> None:
    """List the parts with state, and when and how long they ran last."""
    for name, part in parts.items():
        result = part.result()
        last = f"{result['date'][:10]} {result['seconds']:>5.0f} s" if result else ""
        sys.stdout.write(f"{name:<15}{states[name]:<11}{last:<19}{part.about}\n")


def run(part: Part, *, place: str, seconds: float = SECONDS) -> bool:
    """Run one part and save its result. Returns whether it has passed."""
    say(f"{part.name} ({place}): {part.about}")
    prepared = subprocess.run(_PREPARE[part.needs], cwd=ROOT, timeout=3 * 3600).returncode
    digest, commit = nightly_parts.digest(part, nightly_parts.names_of_files()), _commit()
    started = time.monotonic()
    if prepared:
        found = Counts(failed=1, problem=f"`{shlex.join(_PREPARE[part.needs])}` ended with {prepared}")
    else:
        found = carry_out(part, seconds)
    took = time.monotonic() - started
    result = {
        **{"part": part.name, "date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit},
        **{"machine": _machine(), "seconds": round(took, 1), **found.record(), "digest": digest},
    }
    nightly_parts.RESULTS.mkdir(parents=True, exist_ok=True)
    path = nightly_parts.RESULTS / f"{part.name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    say(
        f"{part.name}: {found.passed} passed, {found.failed} failed, {found.skipped} skipped in {took:.0f} s; {path.name}"
    )
    if found.problem:
        say(f"{part.name}: {found.problem}")
    if digest != nightly_parts.digest(part, nightly_parts.names_of_files()):
        say(f"{part.name}: its paths have changed meanwhile: the result is stale")
    return not found.failed


class Counts:
    """How many tests passed, failed and were skipped, and what else went wrong."""

    def __init__(self, passed: int = 0, failed: int = 0, skipped: int = 0, problem: str = "") -> None:
        self.passed, self.failed, self.skipped, self.problem = passed, failed, skipped, problem

    @classmethod
    def of(cls, report: Path) -> Counts:
        """Read pytest's report; without one, nothing has run."""
        try:
            suites = list(ElementTree.parse(report).getroot().iter("testsuite"))  # noqa: S314 - our own
        except (OSError, ElementTree.ParseError):
            return cls()
        tests, failures, errors, skipped = (
            sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
        )
        return cls(tests - failures - errors - skipped, failures + errors, skipped)

    def record(self) -> dict[str, Any]:
        counts = {"passed": self.passed, "failed": self.failed, "skipped": self.skipped}
        return {**counts, **({"problem": self.problem} if self.problem else {})}


def carry_out(part: Part, seconds: float) -> Counts:
    """Run the command of a part for at most so long. Whatever does not end with 0 has failed."""
    report = ROOT / "build" / "nightly" / f"{part.name}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    program, *arguments = shlex.split(part.run)
    tests = program == "pytest"
    # A job in the background of a shell ignores interrupts, and so would all that it starts.
    command = ["env", "--default-signal=INT", _BIN / program, *arguments]
    command += [f"--junitxml={report}"] if tests else []
    fifth = datetime.now(UTC).weekday() % 5
    environment = {name: value.format(fifth=fifth) for name, value in part.environment.items()}
    code = _wait(
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True), seconds
    )
    found = Counts.of(report) if tests else Counts(passed=int(code == 0))
    if code == 0:
        return found
    found.failed = found.failed or 1
    found.problem = f"took longer than {seconds:.0f} s" if code is None else f"`{part.run}` ended with {code}"
    return found


def _wait(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code; None, and everything has been ended, when it takes longer or the user interrupts."""
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            for number in (signal.SIGINT, signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    os.killpg(process.pid, number)
                    process.wait(_STOP_SECONDS)


def _commit() -> str:
    """Return the commit that is tested, with a mark when files differ from it; saved results are none of it."""
    git = ("git", "-C", str(ROOT))
    asked = (("rev-parse", "--short=10", "HEAD"), ("status", "--porcelain", "--", ".", ":(exclude)docs/nightly"))
    commit, changed = (
        subprocess.run([*git, *words], capture_output=True, text=True, check=True, timeout=60).stdout.strip()
        for words in asked
    )
    return f"{commit}-dirty" if changed else commit


def _machine() -> dict[str, Any]:
    kibibytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        **{"cores": os.cpu_count(), "memory_gib": round(kibibytes / 1024**2, 1), "load": round(os.getloadavg()[0], 1)},
        **{"kernel": platform.release(), "python": platform.python_version()},
    }


def say(text: str) -> None:
    sys.stdout.write(f"nightly: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
