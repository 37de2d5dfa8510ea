"""Says what is missing before anything is started: memory, disk, open files, port, network."""

from __future__ import annotations

import os
import shutil
import socket
import urllib.error
import urllib.request
from pathlib import Path

from .docker import Engine
from .failure import Failure
from .settings import CLUSTER, Settings

MEMORY_GIB = 5
# What a first run writes: images into the engine's folder, programs, sources and logs into ours. Measured, rounded up.
ENGINE_PULLED_GIB, ENGINE_BUILT_GIB, HOME_PULLED_GIB, HOME_BUILT_GIB = 8, 10, 1, 3
AGAIN_GIB = 2
INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_NEEDED = 128  # three nodes take 54 of root's
INOTIFY_GOOD = 512  # kind's own advice
INOTIFY_MEND = f"`sudo sysctl fs.inotify.max_user_instances={INOTIFY_GOOD} fs.inotify.max_user_watches=524288`"


def check_machine(settings: Settings) -> None:
    """Raise Failure when this machine cannot carry the cluster."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(
            f"{settings.home} cannot be written: {error.strerror}.", "Set BAPSANG_HOME to a folder of yours."
        ) from error
    if not os.access(settings.home, os.W_OK):
        raise Failure(f"{settings.home} cannot be written.", "Set BAPSANG_HOME to a folder of yours.")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < MEMORY_GIB:
        raise Failure(
            f"This machine has {memory:.1f} GiB of memory, {MEMORY_GIB} are needed.",
            "Close nothing: use a larger machine.",
        )
    if (instances := _inotify_instances()) < INOTIFY_NEEDED:
        raise Failure(
            f"fs.inotify.max_user_instances is {instances}: three nodes would fail with «too many open files».",
            f"Raise it: {INOTIFY_MEND}.",
        )


def inotify_hint() -> str:
    """Return what to do about the kernel's limit on watchers if it is lower than kind advises, else nothing."""
    instances = _inotify_instances()
    if instances >= INOTIFY_GOOD:
        return ""
    return f"If a node's log says «too many open files», raise fs.inotify.max_user_instances from {instances}: {INOTIFY_MEND}. "


def check_disk(engine: Engine, settings: Settings, *, pull: bool) -> None:
    """Raise Failure when there is too little disk where images and programs will really lie."""
    first = not (settings.home / "complete").exists()
    wanted = (
        (Path(engine.facts()["DockerRootDir"]), ENGINE_PULLED_GIB if pull else ENGINE_BUILT_GIB),
        (settings.home, HOME_PULLED_GIB if pull else HOME_BUILT_GIB),
    )
    disks: dict[int, tuple[Path, int]] = {}
    for folder, gib in wanted:
        device = folder.stat().st_dev
        disks[device] = (folder, disks.get(device, (folder, 0))[1] + gib)
    for folder, gib in disks.values():
        needed = gib if first else AGAIN_GIB
        free = shutil.disk_usage(folder).free / 2**30
        if free < needed:
            raise Failure(
                f"The disk of {folder} has {free:.1f} GiB free, {needed} are needed.",
                "Free some space (`docker system df`), or use a larger disk: BAPSANG_HOME, or the data-root of Docker.",
            )


def check_port(engine: Engine, settings: Settings) -> None:
    """Raise Failure when the ingress port is taken by something other than our own cluster."""
    ports = engine.docker("ps", "--filter", f"label=io.x-k8s.kind.cluster={CLUSTER}", "--format", "{{.Ports}}")
    if f"127.0.0.1:{settings.ingress_port}->" in ports:
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.ingress_port))
        except OSError as error:
            raise Failure(
                f"Port {settings.ingress_port} of 127.0.0.1 cannot be used ({error.strerror}).",
                f"End what listens there (`ss -ltnp 'sport = :{settings.ingress_port}'`) or set BAPSANG_INGRESS_PORT to another port.",
            ) from error


def check_network(urls: tuple[str, ...]) -> None:
    """Raise Failure when none of the package sources `urls` answers. An HTTP error is an answer."""
    for url in urls:
        try:
            urllib.request.urlopen(url, timeout=15).close()  # noqa: S310
        except urllib.error.HTTPError:
            return
        except (urllib.error.URLError, OSError):
            continue
        return
    raise Failure(
        "No package source answers.",
        "Check the network (proxy variables, name service) and run `make up` again: finished steps are kept.",
    )


def _inotify_instances() -> int:
    return int(INOTIFY.read_text())
