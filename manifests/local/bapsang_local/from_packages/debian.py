"""Packages of Debian and Ubuntu, installed by root where a program is missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bapsang_local import shell

_RELEASE = Path("/etc/os-release")
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def here() -> bool:
    """Whether this machine takes Debian's packages."""
    return _RELEASE.exists() and any(
        word in _RELEASE.read_text() for word in ("ID=debian", "ID=ubuntu", "ID_LIKE=debian")
    )


def update(log: Path) -> None:
    """Fetch the lists of packages, which a new machine does not have. Raises Failure."""
    shell.logged(["apt-get", "update"], log, env=_QUIET)


def offers(package: str) -> bool:
    """Whether this release has the package."""
    return shell.attempt(["apt-cache", "show", package]).returncode == 0


def install(packages: Sequence[str], log: Path) -> None:
    """Install `packages`, with the output at the end of `log`. Raises Failure that shows it."""
    shell.logged(["apt-get", "install", "-y", "--no-install-recommends", *packages], log, env=_QUIET, append=True)
