"""Removes what a stopped or killed engine of ours leaves on the host. Never touches what it cannot prove to be ours."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path

from bapsang_local import shell

CGROUPS = Path("/sys/fs/cgroup")


def is_program(pid: int, name: str) -> bool:
    """Tell whether process `pid` lives (a zombie does not) and runs the program `name`: a pid file may name a stranger by now."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and name in _command(pid)
    except OSError:
        return False


def end_processes(cgroup: str, marks: tuple[str, ...]) -> None:
    """Kill the engine's helpers (their command lines carry one of `marks`) and all processes in its control group."""
    for _ in range(50):
        pids = set(_in_cgroup(cgroup)) | {pid for pid in _all() if _is_helper(pid, marks)}
        pids -= {os.getpid(), os.getppid()}
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def unmount(roots: tuple[Path, ...]) -> None:
    """Unmount all that is mounted below `roots`, deepest first."""
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = Path(line.split()[4].replace("\\040", " "))
        if any(point.is_relative_to(root) for root in roots):
            points.append(point)
    for point in reversed(points):
        shell.attempt(["umount", "--lazy", point])


def forward_policy() -> str:
    """Return the policy of the FORWARD chain (ACCEPT, DROP), which Docker changes and never gives back; empty when unknown."""
    match = re.search(r"^-P FORWARD (\w+)", shell.attempt(["iptables", "-S", "FORWARD"]).stdout.decode(), re.MULTILINE)
    return match[1] if match else ""


def remove_network(*, own_docker0: bool, forward: str) -> None:
    """Remove empty bridges that Docker made, `docker0` and Docker's firewall chains, when no other engine was there before ours.

    `own_docker0` says so; `forward` is the policy that the FORWARD chain had then.
    """
    for link in Path("/sys/class/net").glob("br-*"):
        if re.fullmatch(r"br-[0-9a-f]{12}", link.name) and own_docker0 and not any((link / "brif").iterdir()):
            shell.attempt(["ip", "link", "delete", link.name])
    if own_docker0:
        shell.attempt(["ip", "link", "delete", "docker0"])
        for table in ("nat", "filter", "raw"):
            _remove_chains(table)
        if forward:
            shell.attempt(["iptables", "-P", "FORWARD", forward])


def remove_cgroups(cgroup: str) -> None:
    """Remove the engine's empty control groups."""
    for root in _cgroup_roots(cgroup):
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _remove_chains(table: str) -> None:
    listing = shell.attempt(["iptables-save", "-t", table])
    if listing.returncode != 0:
        return
    lines = listing.stdout.decode().splitlines()
    chains = [line[1:].split()[0] for line in lines if re.match(r":DOCKER", line)]
    for line in lines:
        if line.startswith("-A ") and re.search(r"DOCKER|docker0|br-[0-9a-f]{12}|172\.1[78]\.0\.0/16", line):
            shell.attempt(["iptables", "-t", table, *_words(line.replace("-A ", "-D ", 1))])
    for verb in ("-F", "-X"):
        for chain in chains:
            shell.attempt(["iptables", "-t", table, verb, chain])


def _is_helper(pid: int, marks: tuple[str, ...]) -> bool:
    command = _command(pid)
    program = command.split(" ", 1)[0].rpartition("/")[2]
    return program.startswith(("containerd", "docker")) and any(mark in command for mark in marks)


def _words(rule: str) -> Iterable[str]:
    return [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', rule)]


def _all() -> Iterable[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _cgroup_roots(cgroup: str) -> list[Path]:
    name = cgroup.lstrip("/")
    return [root for root in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if root.is_dir()]


def _in_cgroup(cgroup: str) -> Iterable[int]:
    for root in _cgroup_roots(cgroup):
        for file in root.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                yield from (int(pid) for pid in file.read_text().split())
