"""Says what is missing before anything is started: rights, port, disk, memory, network."""

from __future__ import annotations

import os
import shutil
import socket
import urllib.error
import urllib.request

from .docker import Engine
from .failure import Failure
from .settings import CLUSTER, Settings

DISK_FIRST_GIB = 12  # sources, build caches and images of a first build
DISK_AGAIN_GIB = 3
MEMORY_GIB = 5


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
    first = not (settings.home / "complete").exists()
    needed = DISK_FIRST_GIB if first else DISK_AGAIN_GIB
    free = shutil.disk_usage(settings.home).free / 2**30
    if free < needed:
        raise Failure(
            f"{settings.home} has {free:.1f} GiB free, {needed} are needed.",
            "Free some space, or set BAPSANG_HOME to a folder on a larger disk.",
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if memory < MEMORY_GIB:
        raise Failure(
            f"This machine has {memory:.1f} GiB of memory, {MEMORY_GIB} are needed.",
            "Close nothing: use a larger machine.",
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
