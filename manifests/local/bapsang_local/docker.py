"""The Docker engine as its client reaches it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import shell

SAVES_ONE_PLATFORM = (1, 48)  # the API of Docker 28; older ones refuse `save --platform`


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers. `ours`: started by this tool."""

    address: str | None
    ours: bool

    def environment(self) -> dict[str, str]:
        """Environment of `docker` and `kind` for this engine."""
        return {"DOCKER_HOST": self.address} if self.address else {}

    def docker(self, *arguments: str | Path, timeout: float = 120, input: bytes | None = None) -> str:
        """Run `docker` and return what it prints. Raises Failure."""
        return shell.output(["docker", *arguments], env=self.environment(), timeout=timeout, input=input)

    def tries(self, *arguments: str | Path, timeout: float = 120) -> bool:
        """Run `docker` and tell whether it exited with 0."""
        return shell.attempt(["docker", *arguments], env=self.environment(), timeout=timeout).returncode == 0

    def answers(self) -> bool:
        return self.tries("version", "--format", "{{.Server.Version}}", timeout=15)

    def facts(self) -> dict[str, Any]:
        """Return what `docker info` tells about the engine."""
        told: dict[str, Any] = json.loads(self.docker("info", "--format", "{{json .}}"))
        return told

    def save(self, archive: Path, *images: str) -> None:
        """Write `images` into the file `archive`, for the engine's own platform only.

        An engine with the containerd image store would list platforms there that it never pulled, and a node that
        loads the archive would fail with «content digest … not found» (kind #3795).
        """
        template = "{{.Client.APIVersion}} {{.Server.Os}}/{{.Server.Arch}}"
        version, platform = self.docker("version", "--format", template).split()
        major, _, minor = version.partition(".")
        only = ["--platform", platform] if (int(major), int(minor)) >= SAVES_ONE_PLATFORM else []
        self.docker("image", "save", *only, "--output", archive, *images, timeout=600)

    def label(self, image: str, name: str) -> str:
        """Return the value of a label of an image; empty when the label or the image is not there."""
        template = f'{{{{index .Config.Labels "{name}"}}}}'
        answer = shell.attempt(
            ["docker", "image", "inspect", "--format", template, image], env=self.environment(), timeout=60
        )
        return answer.stdout.decode().strip() if answer.returncode == 0 else ""
