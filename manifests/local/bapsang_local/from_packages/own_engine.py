"""A Docker engine of our own: the distribution's, installed and started here by root, and stopped again by `make down`.

It lives under `/run/bapsang` (sockets) and `BAPSANG_HOME/engine` (data), so it never touches the host's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bapsang_local import shell
from bapsang_local.docker import Engine
from bapsang_local.failure import Failure
from bapsang_local.progress import say, step
from bapsang_local.settings import LOCAL, Settings

from . import debian, leftovers

RUN = Path("/run/bapsang")
SOCKET = RUN / "docker.sock"
ADDRESS = f"unix://{SOCKET}"
PID_FILE = RUN / "docker.pid"
EXEC_ROOT = RUN / "engine"
CGROUP = "/bapsang"
CAP_SYS_RESOURCE = 24
START_SECONDS = 60


def find() -> Engine | None:
    """Return the engine of ours that runs. None when there is none, or when it is another user's."""
    ours = Engine(ADDRESS, ours=True)
    return ours if os.access(SOCKET, os.W_OK) and ours.answers() else None


def install(settings: Settings) -> None:
    """Install the distribution's engine, which a host with an init system starts at once."""
    say("No Docker engine answers: installing the distribution's (docker.io).")
    log = settings.logs / "engine-install.log"
    with step("Docker engine installed"):
        debian.update(log)
        packages = ["docker.io", "iptables", "iproute2"]
        if not shutil.which("docker") and debian.offers("docker-cli"):
            packages.append("docker-cli")  # newer releases ship the client apart
        debian.install(packages, log)


def start(settings: Settings) -> Engine:
    """Start an engine of ours and wait until it answers. Raises Failure with the end of its log."""
    clear(settings)
    RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    _data(settings).mkdir(parents=True, exist_ok=True)
    before = {"docker0": not Path("/sys/class/net/docker0").exists(), "forward": leftovers.forward_policy()}
    _state(settings).write_text(json.dumps(before))
    command = ["dockerd", "--data-root", _data(settings), "--exec-root", EXEC_ROOT, "--pidfile", PID_FILE]
    command += ["-H", ADDRESS, "--cgroup-parent", CGROUP, "--log-level", "warn"]
    if not may_raise_limits():
        wrapper = LOCAL / "runc-without-sys-resource"
        command += ["--add-runtime", f"limited={wrapper}", "--default-runtime", "limited"]
    say(f"No Docker engine answers: starting one of our own (data in {_data(settings)}; `make down` stops it).")
    log = settings.logs / "engine.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with step("Docker engine started"), log.open("wb") as file:
        # A session of its own: Ctrl-C during `make up` must not take the engine along.
        process = subprocess.Popen(
            [str(word) for word in command],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        engine = Engine(ADDRESS, ours=True)
        deadline = time.monotonic() + START_SECONDS
        while not engine.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n  ".join(log.read_text(errors="replace").splitlines()[-shell.LAST_LINES :])
                raise Failure(
                    f"dockerd did not start. The end of {log}:\n  {last}",
                    "See docs/local-cluster.md, «The engine does not start».",
                )
            time.sleep(0.3)
    return engine


def stop(settings: Settings) -> None:
    """Stop the engine of ours and remove all that it left."""
    with step("Docker engine stopped"):
        _end(_pid())
        clear(settings)


def clear(settings: Settings) -> None:
    """Remove processes, mounts, interfaces and firewall rules of an engine of ours that no longer runs. Keeps its images."""
    if os.geteuid() != 0 or not (_state(settings).exists() or RUN.exists()):
        return  # only root starts an engine, so nothing here is anybody else's
    leftovers.end_processes(CGROUP, (str(EXEC_ROOT), str(PID_FILE)))
    leftovers.unmount((EXEC_ROOT, _data(settings)))
    state = json.loads(_state(settings).read_text()) if _state(settings).exists() else {}
    leftovers.remove_network(own_docker0=bool(state.get("docker0")), forward=state.get("forward", ""))
    leftovers.remove_cgroups(CGROUP)
    shutil.rmtree(RUN, ignore_errors=True)
    _state(settings).unlink(missing_ok=True)


def may_raise_limits() -> bool:
    """Tell whether containers can be given CAP_SYS_RESOURCE; where not, privileged ones fail with «unable to apply caps»."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapBnd:"):
            return bool(int(line.split()[1], 16) >> CAP_SYS_RESOURCE & 1)
    return True


def _pid() -> int | None:
    try:
        return int(PID_FILE.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _end(pid: int | None) -> None:
    if pid is None or not leftovers.is_program(pid, "dockerd"):
        return
    for number, seconds in ((signal.SIGTERM, 30), (signal.SIGKILL, 5)):
        os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not leftovers.is_program(pid, "dockerd"):
                return
            time.sleep(0.2)


def _data(settings: Settings) -> Path:
    return settings.home / "engine" / "data"


def _state(settings: Settings) -> Path:
    return settings.home / "engine" / "state.json"
