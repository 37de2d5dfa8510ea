"""A second machine on this one, with a registry: a network of its own, an empty Docker engine, and a user in its group.

The registry's images are those that this machine built, pushed under the names that a mirror has them by. Root only.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bapsang_local import images, programs, registry, shell
from bapsang_local.engine import Engine
from bapsang_local.from_packages import leftovers, node_image, own_engine
from bapsang_local.settings import LOCAL, ROOT, Settings

REGISTRY = "127.0.0.1:5000"
NODE = "kindest/node:built-here"
NETWORK = "bapsang-laptop"
HERE, THERE = "198.18.0.1", "198.18.0.2"  # a net for tests of network devices (RFC 2544)
USER, GROUP, DOCKER_GROUP = 64201, 64202, 64203  # nobody on this machine
START_SECONDS = 60
# Docker with the containerd image store, which Debian's stable releases lack, is in its unstable suite. Its runc is not
# taken: that needs a newer C library than hosts have.
CURRENT = ("docker.io", "containerd", "docker-cli", "docker-buildx")
CURRENT_PROGRAMS = ("sbin/dockerd", "sbin/docker-proxy", "bin/containerd", "bin/containerd-shim-runc-v2", "bin/docker")
FETCH = """
sed 's/trixie/sid/; s/^deb /deb [check-valid-until=no] /' /etc/apt/sources.list > /etc/apt/sources.list.d/sid.list
apt-get update -q && cd /packages && for name in "$@"; do apt-get download -q "$name/sid"; done
"""
CONFIG = """
version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


@dataclass(frozen=True)
class Laptop:
    """The second machine. `engine` is its engine as root sees it."""

    home: Path
    engine: Engine
    socket: Path

    def run(
        self, command: Sequence[str | Path], timeout: float, *, shown: bool = False, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command there, as a user who may use Docker and nothing else. What is not `shown` is in the result."""
        user = ["setpriv", "--reuid", USER, "--regid", GROUP, "--groups", DOCKER_GROUP, "--inh-caps=-all"]
        env = {
            "PATH": f"{self.home / 'path'}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.home / "user"),
            "DOCKER_HOST": f"unix://{self.socket}",
            "BAPSANG_HOME": str(self.home / "user" / "bapsang"),
            "PYTHONPATH": str(ROOT / "manifests/local"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "LANG": "C.UTF-8",
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_")},
            **environment,
        }
        words = [*_inside(), *user, *command]
        return subprocess.run(
            [str(word) for word in words], env=env, capture_output=not shown, text=True, timeout=timeout, cwd=ROOT
        )

    def make(self, command: str, timeout: float = 1200, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run one of the commands behind `make`, pulling from the registry."""
        chosen = {"BAPSANG_IMAGES": "pull", "BAPSANG_MIRROR": REGISTRY, "BAPSANG_NODE_IMAGE": NODE, **environment}
        return self.run([sys.executable, "-m", "bapsang_local", command], timeout, **chosen)


@dataclass(frozen=True)
class Registry:
    """A registry server that is not running: its program and what it stores."""

    program: Path
    stored: Path


def filled(folder: Path, engine: Engine, settings: Settings) -> Registry:
    """Make a registry that has the images of `engine`."""
    made = Registry(_registry_program(folder), folder / "registry")
    with _registry(made, ()):
        push(engine, settings)
    return made


@contextlib.contextmanager
def running(folder: Path, served: Registry, engine: Engine, settings: Settings, *, current: bool) -> Iterator[Laptop]:
    """Start the second machine with a registry beside it, and leave nothing of both.

    `current`: with Docker 28 or newer and its containerd image store, instead of this machine's Docker.
    """
    home = _home(folder, settings)
    if current:
        _current_docker(folder, engine)
    with contextlib.ExitStack() as stack:
        _network(stack)
        stack.enter_context(_registry(served, _inside()))
        socket = folder / "docker.sock"
        yield Laptop(home, stack.enter_context(_engine(folder, socket, current=current)), socket)


def push(engine: Engine, settings: Settings) -> None:
    """Push what a machine with a registry pulls, the node image among it, each under its name at a mirror."""
    names = {image.name: image.name for image in images.third_party() if not image.only_built}
    names[NODE] = node_image.provide(engine, settings)
    for name, built in names.items():
        there = registry.mirrored(name, REGISTRY)
        # As if others had built it; but a node image of ours must still be known for what it is.
        label = f"{node_image.BARE}=bare" if name == NODE else f'{images.INPUTS}=""'
        engine.docker("build", "--tag", there, "-", input=f"FROM {built}\nLABEL {label}\n".encode())
        try:
            engine.docker("push", "--quiet", there, timeout=900)
        finally:
            engine.docker("image", "rm", there)


def _registry_program(folder: Path) -> Path:
    """Return the registry server: the host's own, or the one of Debian's package, which is not installed for it."""
    if found := shutil.which("docker-registry"):
        return Path(found)
    shell.logged(["apt-get", "download", "docker-registry"], folder / "registry.log", cwd=folder)
    (package,) = folder.glob("docker-registry_*.deb")
    shell.output(["dpkg", "-x", package, folder / "package"])
    return folder / "package" / "usr/bin/docker-registry"


@contextlib.contextmanager
def _registry(served: Registry, inside: Sequence[str]) -> Iterator[None]:
    config = served.stored.with_suffix(".yaml")
    config.write_text(CONFIG.format(folder=served.stored, address=REGISTRY))
    command = [*inside, str(served.program), "serve", str(config)]
    with _process(command, served.stored.with_suffix(".log")) as process:
        answer = [*inside, "curl", "--silent", "--fail", f"http://{REGISTRY}/v2/"]
        _until(lambda: shell.attempt(answer, timeout=10).returncode == 0, process)
        yield


@contextlib.contextmanager
def _engine(folder: Path, socket: Path, *, current: bool) -> Iterator[Engine]:
    """An empty engine in the other network. Its control groups and folders are apart from those of any other."""
    execution, data, group = folder / "engine", folder / "data", f"/{NETWORK}-{secrets.token_hex(4)}"
    command = ["dockerd", "--data-root", str(data), "--exec-root", str(execution), "--pidfile", str(folder / "pid")]
    command += ["-H", f"unix://{socket}", "--group", str(DOCKER_GROUP), "--cgroup-parent", group, "--log-level", "warn"]
    if current:
        (folder / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}')
        command += ["--config-file", str(folder / "daemon.json")]
    if not own_engine.may_raise_limits():
        command += ["--add-runtime", f"limited={LOCAL / 'runc-without-sys-resource'}", "--default-runtime", "limited"]
    engine = Engine(f"unix://{socket}", ours=False)
    try:
        path = f"PATH={folder / 'path'}:{os.environ['PATH']}"
        with _process([*_inside(), "env", path, *command], folder / "engine.log") as process:
            _until(engine.answers, process)
            try:
                yield engine
            finally:
                if containers := engine.docker("ps", "--all", "--quiet").split():
                    engine.docker("rm", "--force", "--volumes", *containers, timeout=180)
    finally:
        leftovers.end_processes(group, (str(execution), str(folder / "pid")))
        leftovers.unmount((execution, data))
        leftovers.remove_cgroups(group)


def _network(stack: contextlib.ExitStack) -> None:
    """Make a network of its own that reaches out through this machine's."""
    for command, undo in (
        (f"ip netns add {NETWORK}", f"ip netns delete {NETWORK}"),
        (f"ip link add {NETWORK[:13]} type veth peer name eth0 netns {NETWORK}", f"ip link delete {NETWORK[:13]}"),
        (f"ip address add {HERE}/30 dev {NETWORK[:13]}", ""),
        (f"ip link set {NETWORK[:13]} up", ""),
        (f"ip -n {NETWORK} link set lo up", ""),
        (f"ip -n {NETWORK} address add {THERE}/30 dev eth0", ""),
        (f"ip -n {NETWORK} link set eth0 up", ""),
        (f"ip -n {NETWORK} route add default via {HERE}", ""),
        *(
            (f"iptables {table} -I {rule}", f"iptables {table} -D {rule}")
            for table, rule in (
                ("-t nat", f"POSTROUTING -s {THERE}/32 -j MASQUERADE"),
                ("-t filter", f"FORWARD -s {THERE}/32 -j ACCEPT"),
                ("-t filter", f"FORWARD -d {THERE}/32 -j ACCEPT"),
            )
        ),
    ):
        shell.output(command.split())
        if undo:
            stack.callback(shell.attempt, undo.split())


def _home(folder: Path, settings: Settings) -> Path:
    """Give the user kind and helm, as somebody has them who installed them, and a home."""
    path, built = folder / "path", folder / "built"
    path.mkdir()
    built.mkdir()
    for name in ("kind", "helm"):
        shutil.copy(programs.build(name, settings), built / name)
        # A released helm tells its whole version, one that `go install` built does not.
        version = f"{name} v{programs.table()[name].version}"
        script = f'#!/bin/sh\n[ "$*" = version ] && exec echo "{version}"\nexec {built / name} "$@"\n'
        (path / name).write_text(script)
        (path / name).chmod(0o755)
    user = folder / "user"
    user.mkdir()
    os.chown(user, USER, GROUP)
    return folder


def _current_docker(folder: Path, engine: Engine) -> None:
    """Put a current Docker first on the PATH of engine and user."""
    packages = folder / "packages"
    packages.mkdir()
    mount = ["--volume", f"{packages}:/packages", "--label", "dev.bapsang.test=1"]
    engine.docker("run", "--rm", *mount, "debian:trixie-slim", "sh", "-ec", FETCH, "fetch", *CURRENT, timeout=300)
    for package in packages.glob("*.deb"):
        shell.output(["dpkg", "-x", package, folder / "current"])
    for name in CURRENT_PROGRAMS:
        (folder / "path" / Path(name).name).symlink_to(folder / "current" / "usr" / name)
    plugins = folder / "user" / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(folder / "current/usr/libexec/docker/cli-plugins/docker-buildx")
    shell.output(["chown", "-R", f"{USER}:{GROUP}", folder / "user" / ".docker"])


def _inside() -> tuple[str, ...]:
    return ("nsenter", f"--net=/run/netns/{NETWORK}", "--")


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not ready():
        assert process.poll() is None, "ended: see its log"
        assert time.monotonic() < deadline, "does not answer"
        time.sleep(0.2)
