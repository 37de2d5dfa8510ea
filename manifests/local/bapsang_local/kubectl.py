"""The kubectl that works on the cluster: the host's own where its version fits, else the one of the node image."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from . import shell
from .docker import Engine
from .settings import Settings, parts

SKEW = 1  # minor versions that client and server may differ by (kubernetes.io/releases/version-skew-policy)


def provide(node_image: str, engine: Engine, settings: Settings) -> Path:
    """Return a kubectl that fits the cluster; its path is the same whichever it is."""
    settings.bin.mkdir(parents=True, exist_ok=True)
    target = settings.bin / "kubectl"
    origin = settings.bin / "kubectl.origin"
    if own := of_host():
        if target.resolve() != own.resolve():
            target.unlink(missing_ok=True)
            target.symlink_to(own)
            origin.write_text(str(own))
        return target
    if not target.is_symlink() and target.exists() and origin.exists() and origin.read_text() == node_image:
        return target
    container = engine.docker("create", node_image).strip()
    try:
        partial = settings.bin / "kubectl.partial"
        engine.docker("cp", "--follow-link", f"{container}:/usr/bin/kubectl", partial)
        partial.chmod(0o755)
        partial.replace(target)
        origin.write_text(node_image)
    finally:
        engine.docker("rm", "--force", container)
    return target


def of_host() -> Path | None:
    """Return the kubectl on the PATH if its version is within one minor of the cluster's."""
    found = shutil.which("kubectl")
    if not found:
        return None
    answer = shell.attempt([found, "version", "--client", "--output", "json"], timeout=20)
    try:
        told = json.loads(answer.stdout)["clientVersion"]
        major, minor = int(told["major"]), int(told["minor"].rstrip("+"))
    except (ValueError, KeyError, TypeError):
        return None
    wanted_major, wanted_minor, _ = map(int, parts()["kubernetes"]["version"].split("."))
    return Path(found) if major == wanted_major and abs(minor - wanted_minor) <= SKEW else None
