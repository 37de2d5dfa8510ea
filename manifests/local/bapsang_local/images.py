"""Container images: those of others, pulled by name, and the project's own, built from this checkout."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from . import registry, shell
from .docker import Engine
from .failure import Failure
from .progress import step
from .settings import ROOT, Settings, parts

INPUTS = "dev.bapsang.inputs"  # label: digest of what an image was built from
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
    nodes: tuple[str, ...] = ()
    only_built: bool = False
    test: bool = field(default=False, repr=False)  # as it came later: the digests of what is built stay


def table() -> list[Image]:
    """Return all images of `parts.toml`, bases before what is built on them."""
    return [Image(**{**row, "nodes": tuple(row.get("nodes", ()))}) for row in parts()["image"]]


def third_party() -> list[Image]:
    """Return those of others that the cluster is made of."""
    return [image for image in table() if not (image.dockerfile or image.test)]


def of_tests() -> list[Image]:
    return [image for image in table() if image.test]


def own() -> list[Image]:
    return [image for image in table() if image.dockerfile]


def pull(engine: Engine, settings: Settings) -> None:
    """Pull every third-party image that the engine lacks. Raises Failure."""
    for image in third_party():
        if not image.only_built:
            registry.pull(engine, image.name, settings)


def pull_node_image(engine: Engine, settings: Settings) -> str:
    """Pull kind's node image, by its digest unless BAPSANG_NODE_IMAGE names another one, and return its name."""
    if settings.node_image:
        registry.pull(engine, settings.node_image, settings)
        return settings.node_image
    name: str = parts()["kubernetes"]["node_image"]
    registry.pull(engine, name, settings, digest=parts()["kubernetes"]["node_digest"])
    return name


def build(engine: Engine, settings: Settings, name: str, context: Path, arguments: list[str]) -> None:
    """Run `docker build` with the output in a log file."""
    log = settings.logs / f"image-{name.replace('/', '_').replace(':', '_')}.log"
    # Without attestations: they carry the time of the build, which would make the same content another image each time.
    env = {**engine.environment(), "BUILDKIT_PROGRESS": "plain", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
    for variable in PIP_ARGUMENTS:
        if variable in os.environ:
            # The value goes by the environment, not by the command line.
            arguments = [*arguments, "--build-arg", variable]
    shell.logged(["docker", "build", "--force-rm", "--tag", name, *arguments, context], log, env=env)


def build_own(engine: Engine, settings: Settings) -> dict[str, str]:
    """Build the project's images and return `{name:tag: name:tag-<digest>}`, whose digest is that of what went in."""
    exact = {}
    for image in own():
        if not (ROOT / image.dockerfile).exists():
            raise Failure(f"{image.dockerfile} is missing.", "Run this from a whole checkout.")
        exact[image.name] = f"{image.name}-{_inputs(image, engine, settings)}"
        if not engine.tries("image", "inspect", exact[image.name]):
            with step(f"{image.name} built"):
                build(engine, settings, exact[image.name], ROOT, ["--file", str(ROOT / image.dockerfile)])
        repository = image.name.partition(":")[0]
        for line in engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
            if line.startswith(f"{image.name}-") and line != exact[image.name]:
                engine.tries("image", "rm", "--no-prune", line)
        engine.docker("tag", exact[image.name], image.name)
    return exact


def _inputs(image: Image, engine: Engine, settings: Settings) -> str:
    """Return a digest of all that goes into an image of the project: its Dockerfile, the files it copies, its base.

    The id of the image would not do: builders that record how and when they built give the same content another one.
    """
    dockerfile = (ROOT / image.dockerfile).read_text()
    digest = hashlib.sha256(dockerfile.encode())
    for base in bases(dockerfile):
        registry.pull(engine, base, settings)
        digest.update(engine.docker("image", "inspect", "--format", "{{.Id}}", base).encode())
    for path in context_files(dockerfile, ROOT):
        executable = os.access(path, os.X_OK)
        digest.update(f"\0{path.relative_to(ROOT)} {executable}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def bases(dockerfile: str) -> list[str]:
    """Return the images that a Dockerfile starts from, arguments of its head filled in, its own stages left out."""
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile, re.MULTILINE))
    lines = re.findall(r"^FROM (\S+)(?: AS (\S+))?", dockerfile, re.MULTILINE)
    stages = {stage for _, stage in lines}
    named = (re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], origin) for origin, _ in lines)
    return sorted(set(named) - stages - {"scratch"})


def context_files(dockerfile: str, root: Path) -> Iterator[Path]:
    """Yield the files below `root` that a Dockerfile copies, in order."""
    for words in re.findall(r"^(?:COPY|ADD) (?!--from)(.+)$", dockerfile, re.MULTILINE):
        for source in words.split()[:-1]:
            origin = root / source
            found = sorted(origin.rglob("*")) if origin.is_dir() else [origin]
            yield from (path for path in found if path.is_file() and not _ignored(path))


def _ignored(path: Path) -> bool:
    return "__pycache__" in path.parts or path.suffix == ".pyc"  # as .dockerignore has it
