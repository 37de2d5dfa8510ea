"""The Docker engine: the one that answers, or the distribution's, installed and started here and stopped again by `make down`.

An engine of ours lives under `/run/bapsang` (sockets) and `BAPSANG_HOME/engine` (data), so it never touches the host's own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import debian, leftovers, shell
from .failure import Failure
from .progress import say, step
from .settings import LOCAL, Settings

RUN = Path("/run/bapsang")
SOCKET = RUN / "docker.sock"
PID_FILE = RUN / "docker.pid"
EXEC_ROOT = RUN / "engine"
CGROUP = "/bapsang"
CAP_SYS_RESOURCE = 24
START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers. `ours`: started by this tool."""

    address: str | None
    ours: bool

    def environment(self) -> dict[str, str]:
        """Environment of `docker` and `kind` for this engine. Registry look-ups need no builder plug-in, so none is asked for."""
        return {"DOCKER_HOST": self.address} if self.address else {}

    def docker(self, *arguments: str | Path, timeout: float = 120, input: bytes | None = None) -> str:
        """Run `docker` and return what it prints. Raises Failure."""
        return shell.output(["docker", *arguments], env=self.environment(), timeout=timeout, input=input)

    def tries(self, *arguments: str | Path, timeout: float = 120) -> bool:
        """Run `docker` and tell whether it exited with 0."""
        return shell.attempt(["docker", *arguments], env=self.environment(), timeout=timeout).returncode == 0


def find() -> Engine | None:
    """Return the engine that answers: ours if it runs, else the one that the docker client finds. None when there is none."""
    if os.access(SOCKET, os.W_OK):  # another user's engine is not for us
        ours = Engine(f"unix://{SOCKET}", ours=True)
        if _answers(ours):
            return ours
    default = Engine(None, ours=False)
    return default if _answers(default) else None


def ensure(settings: Settings) -> Engine:
    """Return a running engine, installing and starting the distribution's where none answers. Raises Failure with advice."""
    _refuse_podman()
    if engine := find():
        return engine
    _require_rights()
    if not shutil.which("dockerd"):
        _install(settings)
        if engine := find():  # a host with an init system starts it on installation
            say(
                "The distribution's Docker engine was installed and its service runs; `make down` leaves that service alone."
            )
            return engine
    return _start(settings)


def stop(engine: Engine, settings: Settings) -> None:
    """Stop an engine of ours and remove all that it left. Does nothing for one that is not ours."""
    if not engine.ours:
        return
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


def _refuse_podman() -> None:
    """Raise Failure where `docker` is podman: its images have other names, and kind treats it as another provider."""
    if not shutil.which("docker"):
        return
    told = shell.attempt(["docker", "version"], timeout=15)
    if b"podman" in (told.stdout + told.stderr).lower():
        raise Failure(
            "`docker` is podman here, which is not supported.",
            "Install Docker, and see that `docker version` names no podman (its client first on the PATH, DOCKER_HOST unset).",
        )


def _answers(engine: Engine) -> bool:
    return engine.tries("version", "--format", "{{.Server.Version}}", timeout=15)


def _require_rights() -> None:
    client = shell.attempt(["docker", "version"], timeout=15)
    words = client.stderr.decode(errors="replace")
    if "permission denied" in words:
        raise Failure(
            "The Docker engine runs, but this user may not use it.",
            "Add yourself to the group `docker` (`sudo usermod -aG docker $USER`, then log in again), or run as root.",
        )
    if os.geteuid() != 0:
        raise Failure(
            "No Docker engine answers, and only root can install and start one.",
            "Start Docker (`sudo systemctl start docker`, or Docker Desktop), set DOCKER_HOST, or run `sudo make up`.",
        )
    if not shutil.which("dockerd") and not debian.here():
        raise Failure(
            "No Docker engine answers, and this is neither Debian nor Ubuntu.",
            "Install Docker Engine from your distribution (or docs.docker.com/engine/install) and start it.",
        )


def _install(settings: Settings) -> None:
    say("No Docker engine answers: installing the distribution's (docker.io).")
    log = settings.logs / "engine-install.log"
    with step("Docker engine installed"):
        debian.update(log)
        packages = ["docker.io", "iptables", "iproute2"]
        if not shutil.which("docker") and debian.offers("docker-cli"):
            packages.append("docker-cli")  # newer releases ship the client apart
        debian.install(packages, log)


def _start(settings: Settings) -> Engine:
    clear(settings)
    RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
    _data(settings).mkdir(parents=True, exist_ok=True)
    before = {"docker0": not Path("/sys/class/net/docker0").exists(), "forward": leftovers.forward_policy()}
    _state(settings).write_text(json.dumps(before))
    command = ["dockerd", "--data-root", _data(settings), "--exec-root", EXEC_ROOT, "--pidfile", PID_FILE]
    command += ["-H", f"unix://{SOCKET}", "--cgroup-parent", CGROUP, "--log-level", "warn"]
    if not _may_raise_limits():
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
        engine = Engine(f"unix://{SOCKET}", ours=True)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(engine):
            if process.poll() is not None or time.monotonic() > deadline:
                last = "\n  ".join(log.read_text(errors="replace").splitlines()[-shell.LAST_LINES :])
                raise Failure(
                    f"dockerd did not start. The end of {log}:\n  {last}",
                    "See docs/local-cluster.md, «The engine does not start».",
                )
            time.sleep(0.3)
    return engine


def _may_raise_limits() -> bool:
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
