"""Container images: pulled where a registry answers, built from packages under the same names where none does."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from . import shell
from .docker import Engine
from .failure import Failure
from .progress import say, step
from .settings import ROOT, Settings, parts

INPUTS = "dev.bapsang.inputs"  # label: digest of what an image was built from
PULL_PROBE_SECONDS = 60
PIP_ARGUMENTS = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL")


@dataclass(frozen=True, slots=True)
class Image:
    """A row of `parts.toml`; just one of `debian`, `folder`, `program` and `dockerfile` says how it is built."""

    name: str
    debian: str = ""
    folder: str = ""
    program: str = ""
    target: str = ""
    dockerfile: str = ""
    nodes: str = ""
    only_built: bool = False


def table() -> list[Image]:
    """Return all images of `parts.toml`, bases before what is built on them."""
    return [Image(**row) for row in parts()["image"]]


def third_party() -> list[Image]:
    return [image for image in table() if not image.dockerfile]


def own() -> list[Image]:
    return [image for image in table() if image.dockerfile]


def pulled(engine: Engine, settings: Settings) -> bool:
    """Tell whether images come from registries: as BAPSANG_IMAGES says, else by trying the smallest one."""
    if settings.images != "auto":
        return settings.images == "pull"
    probe = "busybox:1.37"
    if engine.tries("image", "inspect", probe):
        return not engine.label(probe, INPUTS)
    answer = shell.attempt(["docker", "pull", "--quiet", probe], env=engine.environment(), timeout=PULL_PROBE_SECONDS)
    if answer.returncode != 0:
        say("No container registry answers: images are built from packages under the same names.")
    return answer.returncode == 0


def pull(engine: Engine) -> None:
    """Make every third-party image present in the engine. Raises Failure."""
    for image in third_party():
        if not image.only_built and not engine.tries("image", "inspect", image.name):
            with step(f"{image.name} pulled"):
                engine.docker("pull", "--quiet", image.name, timeout=900)


def build(engine: Engine, settings: Settings, name: str, context: Path, arguments: list[str]) -> None:
    """Run `docker build` with the output in a log file."""
    log = settings.logs / f"image-{name.replace('/', '_').replace(':', '_')}.log"
    env = {**engine.environment(), "BUILDKIT_PROGRESS": "plain"}
    for variable in PIP_ARGUMENTS:
        if variable in os.environ:
            arguments = [
                *arguments,
                "--build-arg",
                variable,
            ]  # the value goes by the environment, not by the command line
    shell.logged(["docker", "build", "--force-rm", "--tag", name, *arguments, context], log, env=env)


def build_own(engine: Engine, settings: Settings) -> dict[str, str]:
    """Build the project's images and return `{name:tag: name:tag-<id>}`; the latter changes with the content, so new code rolls out."""
    exact = {}
    for image in own():
        if not (ROOT / image.dockerfile).exists():
            raise Failure(f"{image.dockerfile} is missing.", "Run this from a whole checkout.")
        with step(f"{image.name} built"):
            build(engine, settings, image.name, ROOT, ["--file", str(ROOT / image.dockerfile)])
        identity = image_id(engine, image.name).removeprefix("sha256:")[:12]
        exact[image.name] = f"{image.name}-{identity}"
        repository = image.name.partition(":")[0]
        for line in engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
            if line.startswith(f"{image.name}-") and line != exact[image.name]:
                engine.tries("image", "rm", "--no-prune", line)
        engine.docker("tag", image.name, exact[image.name])
    return exact


def image_id(engine: Engine, name: str) -> str:
    return engine.docker("image", "inspect", "--format", "{{.Id}}", name).strip()
