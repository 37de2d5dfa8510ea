"""Which Docker engine is used: the one that answers; where none does, one that root has installed and started."""

from __future__ import annotations

import os
import shutil

from . import shell
from .docker import Engine
from .failure import Failure
from .from_packages import debian, own_engine
from .progress import say
from .settings import Settings

SAVES_ONE_PLATFORM = 28  # version of Docker

__all__ = ["Engine", "clear", "ensure", "find", "stop"]


def find() -> Engine | None:
    """Return the engine that answers: the one DOCKER_HOST names, else ours, else the client's default. None when there is none."""
    default = Engine(None, ours=False)
    return (None if _elsewhere() else own_engine.find()) or (default if default.answers() else None)


def ensure(settings: Settings) -> Engine:
    """Return a running engine, installing and starting the distribution's where none answers. Raises Failure with advice."""
    _refuse_podman()
    if engine := find():
        if not engine.ours:
            _refuse_unsupported(engine)
        return engine
    _require_rights()
    if not shutil.which("dockerd"):
        own_engine.install(settings)
        if engine := find():  # a host with an init system starts it on installation
            say(
                "The distribution's Docker engine was installed and its service runs; `make down` leaves that service alone."
            )
            return engine
    return own_engine.start(settings)


def stop(engine: Engine, settings: Settings) -> None:
    """Stop an engine of ours and remove all that it left. Does nothing for one that is not ours."""
    if engine.ours:
        own_engine.stop(settings)


def clear(settings: Settings) -> None:
    """Remove what an engine of ours left that was killed. Does nothing where DOCKER_HOST names another one."""
    if not _elsewhere():
        own_engine.clear(settings)


def _elsewhere() -> bool:
    return (os.environ.get("DOCKER_HOST") or own_engine.ADDRESS) != own_engine.ADDRESS


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


def _refuse_unsupported(engine: Engine) -> None:
    """Raise Failure for an engine of which it is known that it does not do, or that nobody has tried."""
    facts = engine.facts()
    address = os.environ.get("DOCKER_HOST") or "unix://"
    containerd = any("io.containerd.snapshotter" in str(row) for row in facts["DriverStatus"] or ())
    refusals = (
        (
            str(facts["DockerRootDir"]).startswith("/var/snap/"),
            "Docker from snap",
            "it may read neither hidden folders of the home, such as ~/.cache/bapsang, nor /tmp",
        ),
        (
            facts["OperatingSystem"] == "Docker Desktop",
            "Docker Desktop",
            "its engine runs in a virtual machine, whose disk, memory and kernel nobody can check here",
        ),
        (
            any("rootless" in option for option in facts["SecurityOptions"] or ()),
            "Docker without root (rootless mode)",
            "nodes need control groups that few machines delegate",
        ),
        (
            not address.startswith("unix://"),
            f"an engine on another machine ({address})",
            "ingress and apiserver are reached on the engine's own 127.0.0.1",
        ),
        (
            containerd and int(str(facts["ServerVersion"]).partition(".")[0]) < SAVES_ONE_PLATFORM,
            f"Docker {facts['ServerVersion']} with the containerd image store",
            f"nodes cannot load its images before version {SAVES_ONE_PLATFORM} (kind #3795)",
        ),
    )
    for found, name, reason in refusals:
        if found:
            raise Failure(
                f"Not supported: {name}, because {reason}.",
                "Use a current Docker Engine of this machine (docs.docker.com/engine/install, `docker context use default`).",
            )


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
