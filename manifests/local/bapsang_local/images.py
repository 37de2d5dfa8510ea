"""Container images: pulled where a registry answers, built from packages under the same names where none does."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import programs, shell
from .engine import Engine
from .failure import Failure
from .progress import say, step
from .settings import LOCAL, ROOT, Settings, parts

INPUTS = "dev.bapsang.inputs"  # label: digest of what an image was built from
PULL_PROBE_SECONDS = 60
HOST_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
SLIM = {
    "etc/apt/apt.conf.d/slim": 'APT::Keep-Downloaded-Packages "false";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};\n',
    "etc/dpkg/dpkg.cfg.d/slim": "".join(
        f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "man", "locale", "info")
    ),
}
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
        return not _label(engine, probe)
    answer = shell.attempt(["docker", "pull", "--quiet", probe], env=engine.environment(), timeout=PULL_PROBE_SECONDS)
    if answer.returncode != 0:
        say("No container registry answers: images are built from packages under the same names.")
    return answer.returncode == 0


def provide(engine: Engine, settings: Settings, *, pull: bool) -> None:
    """Make every third-party image present in the engine. Raises Failure."""
    for image in third_party():
        if pull:
            if not image.only_built and not engine.tries("image", "inspect", image.name):
                with step(f"{image.name} pulled"):
                    engine.docker("pull", "--quiet", image.name, timeout=900)
        else:
            provide_built(image, engine, settings)


def provide_built(image: Image, engine: Engine, settings: Settings) -> None:
    """Build `image` from packages unless the engine has it from the same inputs."""
    wanted = inputs(image, settings)
    if _label(engine, image.name) == wanted:
        return
    if image.debian:
        _bootstrap(image, wanted, engine, settings)
        return
    with tempfile.TemporaryDirectory() as scratch:
        context = Path(scratch)
        shutil.copytree(LOCAL / "images" / (image.folder or "program"), context, dirs_exist_ok=True)
        arguments: list[str] = []
        if image.program:
            shutil.copy(programs.build(image.program, settings), context / image.program)
            arguments = ["--build-arg", f"PROGRAM={image.program}", "--build-arg", f"TARGET={image.target}"]
        if (certificates := _host_certificates()) and image.folder == "python":
            shutil.copy(certificates, context / "host-ca.crt")
        with step(f"{image.name} built from packages"):
            build(engine, settings, image.name, context, ["--label", f"{INPUTS}={wanted}", *arguments])


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


def _label(engine: Engine, name: str) -> str:
    answer = shell.attempt(
        ["docker", "image", "inspect", "--format", f'{{{{index .Config.Labels "{INPUTS}"}}}}', name],
        env=engine.environment(),
    )
    return answer.stdout.decode().strip() if answer.returncode == 0 else ""


def inputs(image: Image, settings: Settings) -> str:
    """Return a digest of all that goes into a built image, its base included."""
    digest = hashlib.sha256(repr(image).encode())
    if image.debian:
        digest.update(repr(SLIM).encode())
        return digest.hexdigest()[:16]
    folder = LOCAL / "images" / (image.folder or "program")
    for file in sorted(folder.iterdir()):
        digest.update(file.read_bytes())
    used = re.findall(r"^FROM (\S+)", (folder / "Dockerfile").read_text(), re.MULTILINE)
    for base in (base for base in table() if base.name in used):
        digest.update(inputs(base, settings).encode())
    if image.program:
        digest.update(programs.path(image.program, settings).name.encode())
    return digest.hexdigest()[:16]


def _bootstrap(image: Image, wanted: str, engine: Engine, settings: Settings) -> None:
    """Import a minimal Debian as a base image."""
    if os.geteuid() != 0:
        raise Failure(
            f"{image.name} can only be built by root (debootstrap).",
            "Run `sudo make up`, or give access to a container registry.",
        )
    if not shutil.which("debootstrap"):
        shell.logged(
            ["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"],
            settings.logs / "debootstrap-install.log",
        )
    with step(f"{image.name} bootstrapped from packages"), tempfile.TemporaryDirectory(dir=settings.home) as scratch:
        root = Path(scratch) / "root"
        shell.logged(
            ["debootstrap", "--variant=minbase", image.debian, root], settings.logs / f"debootstrap-{image.debian}.log"
        )
        _slim(root)
        archive = Path(scratch) / "root.tar"
        shell.output(["tar", "--numeric-owner", "-C", root, "-cf", archive, "."], timeout=300)
        engine.docker("import", "--change", f"LABEL {INPUTS}={wanted}", archive, image.name, timeout=300)


def _slim(root: Path) -> None:
    """Make a bootstrapped root as small as the upstream -slim images, and keep it so when packages are added to it."""
    for name, text in SLIM.items():
        (root / name).write_text(text)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for folder in ("var/cache/apt/archives/partial", "var/lib/apt/lists/partial"):
        (root / folder).mkdir(parents=True)


def _host_certificates() -> Path | None:
    return next((Path(name) for name in HOST_CERTIFICATES if Path(name).exists()), None)
