"""The kubectl that works on the cluster."""

from __future__ import annotations

from pathlib import Path

from .docker import Engine
from .settings import Settings


def provide(node_image: str, engine: Engine, settings: Settings) -> Path:
    """Return a kubectl of the cluster's version, taken out of the node image."""
    target = settings.bin / "kubectl"
    origin = settings.bin / "kubectl.origin"
    if target.exists() and origin.exists() and origin.read_text() == node_image:
        return target
    settings.bin.mkdir(parents=True, exist_ok=True)
    container = engine.docker("create", node_image).strip()
    try:
        partial = settings.bin / "kubectl.partial"
        engine.docker("cp", "--follow-link", f"{container}:/usr/bin/kubectl", partial)
        partial.chmod(0o755)
        partial.rename(target)
        origin.write_text(node_image)
    finally:
        engine.docker("rm", "--force", container)
    return target
