"""The process that decodes: what it may still do, what it may cost, and who is blamed for its end."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bombs import BOMBS, png_of
from tests.examined import Examining, examining
from tests.hostile import FILES
from tests.photos import scene, written

from bapsang_api.media import confinement, process
from bapsang_api.media.confinement import MIB, Limits
from bapsang_api.media.kinds import HEAD, Kind
from bapsang_api.media.look import look
from bapsang_api.media.process import LIMITS, Outcome, decode, examine, memory_file
from bapsang_api.media.verdict import Photo, Reason, Refused, Undecided, Use, Verdict, to_wire
from bapsang_api.uploads.rules import MOST_BYTES

#: Each of these is done by a program that nothing confines, and by none that is.
FORBIDDEN = {
    "open a file": "open('/etc/hostname')",
    "list a folder": "os.listdir('/')",
    "write a file": "open('/tmp/bapsang-confined', 'w')",
    "make a socket": "socket.socket()",
    "make a process": "os.waitpid(os.fork() or os._exit(0), 0)",
    "run a program": "subprocess.run(['/bin/true'], check=True)",
    "signal its parent": "os.kill(os.getppid(), 0)",
    "look into its parent": "open(f'/proc/{os.getppid()}/maps')",
    "raise its limits": "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
}
PROGRAM = """
import json, os, resource, socket, subprocess, sys, threading
from bapsang_api.media.confinement import confine
if sys.argv[1] == "confined":
    confine()
done = []
def attempt(name, act):
    try:
        exec(act)
        done.append(name)
    except OSError as error:
        assert isinstance(error, PermissionError), (name, error)
    except ValueError:  # setrlimit says so
        pass
for name, act in json.loads(sys.argv[2]).items():
    attempt(name, act)
thread = threading.Thread(target=done.append, args=("run a thread",))
thread.start()
thread.join()
os.write(1, json.dumps(done).encode())
os._exit(0)
"""


def attempted(how: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM, how, json.dumps(FORBIDDEN)]
    answer = subprocess.run(command, check=True, capture_output=True, timeout=60, env=process._ENVIRONMENT).stdout
    done: list[str] = json.loads(answer)
    return done


def test_a_confined_process_can_compute_and_nothing_else() -> None:
    assert attempted("confined") == ["run a thread"]


def test_what_it_cannot_do_others_can() -> None:
    assert attempted("free") == [*FORBIDDEN, "run a thread"]


def decided(program: list[bytes], architecture: int, number: int, flags: int = 0) -> int:
    """Interpret a filter (classic BPF) for one call, as the kernel does, and return what it says."""
    data = {0: number, 4: architecture, 16: flags}
    loaded, at = 0, 0
    while True:
        code, if_true, if_false, value = struct.unpack("HBBI", program[at])
        at += 1
        match code:
            case 0x20:
                loaded = data[value]
            case 0x15:
                at += if_true if loaded == value else if_false
            case 0x45:
                at += if_true if loaded & value else if_false
            case _:
                assert code == 0x06
                return int(value)


@pytest.mark.parametrize("machine", confinement._MACHINES.values(), ids=confinement._MACHINES)
def test_the_filter_of_either_processor_lets_the_listed_calls_pass_and_new_threads(machine: Any) -> None:
    """The processor that runs the tests is one of two; the other's filter is interpreted here."""
    program, allow, eperm, enosys = confinement._program(machine), 0x7FFF0000, 0x00050001, 0x00050026
    said = {number: decided(program, machine.audit, number) for number in (*range(600), 1 << 30)}
    assert {number for number, one in said.items() if one == allow} == machine.calls
    assert {number for number, one in said.items() if one == enosys} == {435}
    assert set(said.values()) == {allow, eperm, enosys}
    assert decided(program, machine.audit, machine.clone, flags=0x3D0F00) == allow  # as pthread_create calls it
    assert decided(program, machine.audit, machine.clone, flags=0x1200011) == eperm  # as fork does
    assert decided(program, machine.audit ^ 1, min(machine.calls)) == 0x80000000


def run_instead(monkeypatch: pytest.MonkeyPatch, program: str, limits: Limits = LIMITS) -> Outcome:
    monkeypatch.setattr(process, "_COMMAND", (sys.executable, "-c", program))
    with memory_file(b"an upload") as upload:
        return decode(upload, Kind.JPEG, Use.POST, limits)


@pytest.mark.parametrize(
    ("ended_by", "kind", "reason"),
    [
        *(
            (one, Refused, Reason.DECODER_CRASHED)
            for one in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS")
        ),
        ("SIGXCPU", Refused, Reason.TOO_SLOW),
        *((one, Undecided, Reason.KILLED) for one in ("SIGKILL", "SIGTERM", "SIGHUP")),
    ],
)
def test_how_the_process_ends_decides_who_is_blamed(
    ended_by: str, kind: type[Verdict], reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs the tests by nohup lets them inherit that SIGHUP is ignored.
    prepared = "resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    program = f"import os, resource, signal; {prepared}; os.kill(os.getpid(), signal.{ended_by})"
    verdict = run_instead(monkeypatch, program).verdict
    assert (type(verdict), getattr(verdict, "reason", None)) == (kind, reason)


def test_what_takes_too_long_by_the_clock_is_killed_and_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_instead(
        monkeypatch, "import os, time; os.write(1, str(os.getpid()).encode()); time.sleep(600)", Limits(wall_seconds=1)
    )
    assert isinstance(outcome.verdict, Undecided)
    assert outcome.verdict.reason is Reason.TIMED_OUT
    assert outcome.cost.wall_seconds < 60
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(-1, os.WNOHANG)


def photo() -> dict[str, object]:
    with memory_file(written(scene(40, 30), "PNG")) as upload:
        return to_wire(examine(upload, Use.POST).verdict)


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "UNDECIDED", "reason": "KILLED", "detail": "x"},
        {"verdict": "REFUSED", "reason": "BORING", "detail": "x"},
        {"verdict": "REFUSED", "reason": "DAMAGED", "detail": "two\nlines"},
        {"variants": []},
        {"width": -1},
        {"width": True},
        {"colour": "red;}<script>"},
        {"placeholder": "<" * 30},
        *({"name": name} for name in ("../../etc/passwd", "/etc/passwd", "320.webp/..", "320.html", "", None)),
        {"contentType": "text/html"},
        {"size": 10**9},
    ],
    ids=str,
)
def test_an_answer_that_is_none_is_believed_in_nothing(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = photo()
    variants: list[dict[str, object]] = told["variants"]  # type: ignore[assignment]
    program = f"print({{!r}}); print('x' * {sum(map(int, (one['size'] for one in variants)))}, end='')"  # type: ignore[call-overload]
    assert isinstance(run_instead(monkeypatch, program.format(json.dumps(told))).verdict, Photo)
    for name, value in change.items():
        (variants[0] if name in {"name", "contentType", "size"} else told)[name] = value
    verdict = run_instead(monkeypatch, program.format(json.dumps(told))).verdict
    assert isinstance(verdict, Undecided)
    assert verdict.reason is Reason.BROKEN


@pytest.mark.parametrize(
    "program", ["", "print('{}')", "print('[]')", "print('null')", "print('x' * 100_000)", "raise SystemExit(70)"]
)
def test_a_process_that_says_nothing_decides_nothing(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = run_instead(monkeypatch, program).verdict
    assert isinstance(verdict, Undecided)
    assert verdict.reason is Reason.BROKEN


def test_nothing_is_decoded_where_the_system_does_not_allow_the_confinement(tmp_path: Path) -> None:
    for spoiled in ("platform.machine = lambda: 'vax'", "confinement._PR_SET_SECCOMP = 9_999"):
        program = f"import platform, sys; from bapsang_api.media import child, confinement; {spoiled}; child.main(sys.argv[1:])"
        (tmp_path / "photo").write_bytes(written(scene(40, 30), "PNG"))
        with (tmp_path / "photo").open("rb") as upload:
            command = [sys.executable, "-c", program, Use.POST, Kind.PNG, str(LIMITS.memory), "10", str(LIMITS.answer)]
            ended = subprocess.run(command, stdin=upload, capture_output=True, env=process._ENVIRONMENT, timeout=60)
        assert (ended.returncode, ended.stdout) == (70, b"")


def test_the_process_gets_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONSTARTUP", "/nowhere")
    program = "import json, os; print(json.dumps({'verdict': 'REFUSED', 'reason': 'DAMAGED', 'detail': ' '.join(sorted(os.environ))}))"
    verdict = run_instead(monkeypatch, program).verdict
    assert isinstance(verdict, Refused)
    assert set(verdict.detail.split()) - {"LD_LIBRARY_PATH"} == {"LC_ALL", "MALLOC_ARENA_MAX", "PYTHONPATH"}


def test_the_process_finds_the_libraries_of_its_interpreter() -> None:
    program = "from bapsang_api.media import process; print(process._ENVIRONMENT['LD_LIBRARY_PATH'])"
    environment = {**process._ENVIRONMENT, "LD_LIBRARY_PATH": "/var/lang/lib", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [sys.executable, "-c", program]
    said = subprocess.run(command, check=True, capture_output=True, text=True, env=environment, timeout=60).stdout
    assert said == "/var/lang/lib\n"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examining]:
    with examining(tmp_path_factory.mktemp("examined")) as looking:
        yield looking


@pytest.mark.parametrize("name", BOMBS)
def test_what_was_made_to_cost_much_is_ended_within_the_limits(name: str, small: Examining) -> None:
    content = BOMBS[name].make()
    assert len(content) <= MOST_BYTES
    examined = small.look_at(content, Limits(cpu_seconds=4))
    assert examined.said in BOMBS[name].said, examined.verdict
    if isinstance(look(content[:HEAD], len(content)), Refused):
        assert examined.said != "ACCEPTED"
    assert examined.cpu_seconds < 5
    assert examined.peak_bytes <= 600 * MIB


@pytest.mark.nightly("photos")
@pytest.mark.parametrize("name", FILES)
def test_ten_hostile_megabytes_end_within_the_limits(name: str, small: Examining) -> None:
    examined = small.look_at(FILES[name].make())
    assert examined.said in {"ACCEPTED", "DAMAGED", "TOO_MANY_PARTS", "TOO_SLOW", "TOO_MUCH_MEMORY"}, examined.verdict
    assert examined.cpu_seconds < LIMITS.cpu_seconds + 1
    assert examined.peak_bytes <= LIMITS.memory


def test_less_memory_or_time_refuses_more(small: Examining) -> None:
    content = png_of(10_000, 10_000, 290)
    assert small.look_at(content, Limits(memory=300 * MIB)).said == "TOO_MUCH_MEMORY"
    assert small.look_at(content, Limits(cpu_seconds=1)).said == "TOO_SLOW"
    assert small.look_at(content, Limits(answer=1_000)).said == "BROKEN"
    assert small.look_at(content, Limits(wall_seconds=0.01)).said == "TIMED_OUT"


def test_a_photo_of_a_phone_stays_far_below_the_limits(small: Examining) -> None:
    content = written(scene(4032, 3024), "JPEG", quality=85)
    examined = small.look_at(content)
    assert examined.said == "ACCEPTED"
    assert examined.cpu_seconds < LIMITS.cpu_seconds / 2
    assert examined.peak_bytes < LIMITS.memory / 4


def test_the_parent_forgets_what_it_was_told_to_wait_for() -> None:
    """No descriptor and no process is left, however it ended."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for content in (b"none", written(scene(40, 30), "PNG")):
        with memory_file(content) as upload:
            examine(upload, Use.POST)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
