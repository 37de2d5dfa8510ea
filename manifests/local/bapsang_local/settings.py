"""Where things are and what can be chosen: one frozen value, read from the environment once."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failure import Failure

ROOT = Path(__file__).resolve().parents[3]
LOCAL = ROOT / "manifests" / "local"
CLUSTER = "bapsang"
HOST = "bapsang.localhost"
COMMUNITY_NAMESPACE = "community"
COMMUNITY = "bapsang"
OPERATOR_NAMESPACE = "bapsang-system"
#: Variables of this tool, which API and operator would refuse.
OWN_VARIABLES = frozenset(
    f"BAPSANG_{name}" for name in ("HOME", "CONTEXT", "INGRESS_PORT", "IMAGES", "MIRROR", "NODE_IMAGE")
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Choices of this run. `home` holds caches, logs, the engine's data and the kubeconfig; nothing else is written."""

    home: Path
    context: str | None
    ingress_port: int
    images: str  # auto | pull | build
    mirror: str = ""  # registry and path in front of every image's whole name
    node_image: str = ""

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.home / "kubeconfig"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.ingress_port}"

    @property
    def mailbox_url(self) -> str:
        """Where the letters of the sample Community are read."""
        return f"http://mail.{HOST}:{self.ingress_port}"


def from_environment(environ: dict[str, str] | None = None) -> Settings:
    """Read BAPSANG_HOME and its like, as docs/local-cluster.md lists them. Raises Failure naming a bad one."""
    env = os.environ if environ is None else environ
    cache = Path(env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    port = env.get("BAPSANG_INGRESS_PORT", "8880")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise Failure(f"BAPSANG_INGRESS_PORT is {port!r}", "Give a port from 1 to 65535.")
    images = env.get("BAPSANG_IMAGES") or "auto"
    if images not in ("auto", "pull", "build"):
        raise Failure(f"BAPSANG_IMAGES is {images!r}", "Give pull or build, or unset it.")
    mirror = env.get("BAPSANG_MIRROR", "")
    if "://" in mirror or mirror.endswith("/"):
        raise Failure(
            f"BAPSANG_MIRROR is {mirror!r}", "Give a registry and a path, such as registry.example.com/proxy."
        )
    return Settings(
        home=Path(env.get("BAPSANG_HOME") or cache / "bapsang").absolute(),
        context=env.get("BAPSANG_CONTEXT") or None,
        ingress_port=int(port),
        images=images,
        mirror=mirror,
        node_image=env.get("BAPSANG_NODE_IMAGE", ""),
    )


def parts() -> dict[str, Any]:
    """Return `parts.toml`: the versions and origins of all that the cluster is made of."""
    with (LOCAL / "parts.toml").open("rb") as file:
        return tomllib.load(file)
