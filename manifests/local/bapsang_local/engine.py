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

__all__ = ["Engine", "clear", "ensure", "find", "stop"]


def find() -> Engine | None:
    """Return the engine that answers: ours if it runs, else the one that the docker client finds. None when there is none."""
    default = Engine(None, ours=False)
    return own_engine.find() or (default if default.answers() else None)


def ensure(settings: Settings) -> Engine:
    """Return a running engine, installing and starting the distribution's where none answers. Raises Failure with advice."""
    _refuse_podman()
    if engine := find():
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
    """Remove what an engine of ours left that was killed."""
    own_engine.clear(settings)


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
