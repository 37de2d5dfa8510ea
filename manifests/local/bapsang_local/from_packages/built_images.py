"""Third-party images, built from packages under the names that a registry would serve them by."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from bapsang_local import images, programs, shell
from bapsang_local.docker import Engine
from bapsang_local.failure import Failure
from bapsang_local.images import INPUTS, Image
from bapsang_local.progress import step
from bapsang_local.settings import LOCAL, Settings

from . import debian

HOST_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
SLIM = {
    "etc/apt/apt.conf.d/slim": 'APT::Keep-Downloaded-Packages "false";\nDir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n'
    'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};\n',
    "etc/dpkg/dpkg.cfg.d/slim": "".join(
        f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "man", "locale", "info")
    ),
}


def check(engine: Engine, settings: Settings, *, because: str = "") -> None:
    """Raise Failure where images cannot be built: their base is bootstrapped by root, on Debian or Ubuntu."""
    if all(engine.label(image.name, INPUTS) == inputs(image, settings) for image in images.table() if image.debian):
        return
    missing = "root" if os.geteuid() != 0 else "Debian or Ubuntu" if not debian.here() else ""
    if missing:
        raise Failure(
            f"{because}\n  Building images from packages needs {missing}.".lstrip(),
            "Give access to a container registry (proxy, VPN, `docker login`, BAPSANG_MIRROR), "
            "or run this as root on Debian or Ubuntu.",
        )


def provide(engine: Engine, settings: Settings) -> None:
    """Make every third-party image present in the engine. Raises Failure."""
    for image in images.third_party():
        provide_one(image, engine, settings)


def provide_one(image: Image, engine: Engine, settings: Settings) -> None:
    """Build `image` from packages unless the engine has it from the same inputs."""
    wanted = inputs(image, settings)
    if engine.label(image.name, INPUTS) == wanted:
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
            images.build(engine, settings, image.name, context, ["--label", f"{INPUTS}={wanted}", *arguments])


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
    for base in (base for base in images.table() if base.name in used):
        digest.update(inputs(base, settings).encode())
    if image.program:
        digest.update(programs.path(image.program, settings).name.encode())
    return digest.hexdigest()[:16]


def _bootstrap(image: Image, wanted: str, engine: Engine, settings: Settings) -> None:
    """Import a minimal Debian as a base image."""
    if not shutil.which("debootstrap"):
        debian.install(["debootstrap"], settings.logs / "debootstrap-install.log")
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
