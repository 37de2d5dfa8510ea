"""`make tilt`: Tilt, which is the developer's own, with the kubeconfig, the programs and the engine of the local cluster."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import programs
from .docker import Engine
from .failure import Failure
from .settings import Settings

#: What Tilt calls by these names; the cache has them under others.
CALLED = ("helm", "kind")


def program() -> Path:
    """Return the developer's Tilt. Raises Failure."""
    found = shutil.which("tilt")
    if found is None:
        raise Failure("tilt is not on the PATH.", "See https://docs.tilt.dev/install, or use `make up`.")
    return Path(found)


def environment(engine: Engine, settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of Tilt: our programs first on the PATH."""
    folder = settings.home / "tilt"
    folder.mkdir(exist_ok=True)
    for name, target in [
        *((name, programs.on_host(name, settings)) for name in CALLED),
        ("kubectl", settings.bin / "kubectl"),
    ]:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)
    path = os.pathsep.join([str(folder), environ.get("PATH", os.defpath)])
    return {**environ, **engine.environment(), "PATH": path, "KUBECONFIG": str(settings.kubeconfig)}


def run(tilt: Path, engine: Engine, settings: Settings, arguments: Sequence[str]) -> None:
    """Become `tilt up`; does not return."""
    os.execve(tilt, [str(tilt), "up", *arguments], environment(engine, settings, os.environ))  # noqa: S606 - as meant
