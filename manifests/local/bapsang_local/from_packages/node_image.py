"""The kind node image where kindest/node cannot be pulled: Debian, containerd, a Kubernetes built from source, its images preloaded."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from bapsang_local import images, programs, shell
from bapsang_local.docker import Engine
from bapsang_local.progress import step
from bapsang_local.settings import LOCAL, Settings, parts

from . import built_images

BARE = "dev.bapsang.node"  # label of a node image of ours, which brings neither a pod network nor volumes
PROGRAMS = ("kube", "kubeadm", "etcd", "coredns", "pause")
IMPORT = """
containerd > /tmp/containerd.log 2>&1 & pid=$!
for attempt in $(seq 100); do ctr version > /dev/null 2>&1 && break; sleep 0.2; done
ctr --namespace k8s.io images import --no-unpack /images.tar || { cat /tmp/containerd.log; exit 1; }
kill $pid; wait $pid; rm -f /tmp/containerd.log
"""


def provide(engine: Engine, settings: Settings) -> str:
    """Build the node image unless the engine has it, and return its name, whose tag is a digest of its inputs. Raises Failure."""
    name = f"{parts()['kubernetes']['built_node_image']}:{_inputs(settings)}"
    if engine.tries("image", "inspect", name):
        return name
    built_images.provide_one(_base(), engine, settings)
    with step("kind node image built from packages"), tempfile.TemporaryDirectory(dir=settings.home) as scratch:
        _build(name, Path(scratch), engine, settings)
    repository = name.partition(":")[0]
    for old in engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", repository).split():
        if not old.startswith(name):
            engine.tries(
                "image", "rm", old
            )  # fails while a cluster of an older checkout still uses it, and that is right
    return name


def is_bare(image: str, engine: Engine) -> bool:
    """Tell whether a node image is one of ours, which needs a pod network and volumes from outside."""
    return image.startswith(f"{parts()['kubernetes']['built_node_image']}:") or engine.label(image, BARE) == "bare"


def _base() -> images.Image:
    return next(image for image in images.table() if image.debian == "bookworm")


def _inputs(settings: Settings) -> str:
    digest = hashlib.sha256(built_images.inputs(_base(), settings).encode())
    for file in sorted((LOCAL / "node").rglob("*")):
        if file.is_file():
            digest.update(file.name.encode() + file.read_bytes())
    for name in (*PROGRAMS, "kind"):
        digest.update(programs.path(name, settings).name.encode())
    return f"v{parts()['kubernetes']['version']}-{digest.hexdigest()[:12]}"


def _build(name: str, scratch: Path, engine: Engine, settings: Settings) -> None:
    base = f"{name}-base"
    context = scratch / "node"
    shutil.copytree(LOCAL / "node", context)
    for program in ("kube", "kubeadm"):
        shutil.copy(programs.build(program, settings), context / program)
    # Entry point and unit files come from kind's own sources at build time, so they always fit the kind in use.
    kind_files = (
        programs.module_folder("sigs.k8s.io/kind", programs.table()["kind"].version, settings) / "images/base/files"
    )
    shutil.copytree(kind_files, context / "kind-files")
    shell.output(["chmod", "-R", "u+w", context / "kind-files"])
    images.build(engine, settings, base, context, ["--build-arg", f"VERSION=v{parts()['kubernetes']['version']}"])

    preloaded = _control_plane_images(base, scratch, engine, settings)
    archive = scratch / "images.tar"
    engine.save(archive, *preloaded)
    container = engine.docker(
        "run",
        "--detach",
        "--privileged",
        "--network",
        "none",
        "--volume",
        f"{archive}:/images.tar:ro",
        "--entrypoint",
        "sleep",
        base,
        "infinity",
    ).strip()
    try:
        engine.docker("exec", container, "sh", "-ec", IMPORT, timeout=600)
        engine.docker(
            "commit",
            "--change",
            'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]',
            container,
            f"{name}-imported",
            timeout=600,
        )
    finally:
        engine.docker("rm", "--force", container)
    final = scratch / "final"
    final.mkdir()
    (final / "Dockerfile").write_text(f"FROM {name}-imported\nSTOPSIGNAL SIGRTMIN+3\nLABEL {BARE}=bare\n")
    images.build(engine, settings, name, final, [])
    engine.tries("image", "rm", "--no-prune", f"{name}-imported")
    engine.tries("image", "rm", "--no-prune", *preloaded)


def _control_plane_images(base: str, scratch: Path, engine: Engine, settings: Settings) -> list[str]:
    """Build the images that kubeadm asks for, each one program from scratch, under the names it asks for. Returns the names."""
    version = parts()["kubernetes"]["version"]
    listed = shell.output(
        [programs.build("kubeadm", settings), "config", "images", "list", "--kubernetes-version", f"v{version}"]
    )
    for reference in listed.split():
        component = reference.rpartition("/")[2].partition(":")[0]
        context = scratch / component
        context.mkdir()
        if component == "kube-proxy":  # the one that needs a userland: iptables
            (context / "Dockerfile").write_text(f"FROM {base}\nENTRYPOINT []\n")
        else:
            program = "kube" if component.startswith("kube-") else component
            shutil.copy(programs.build(program, settings), context / component)
            path = {"pause": "/pause", "coredns": "/coredns"}.get(component, f"/usr/local/bin/{component}")
            lines = ["FROM scratch", f"COPY {component} {path}", "ENV PATH=/usr/local/bin"]
            if component in ("pause", "coredns"):
                lines.append(f'ENTRYPOINT ["{path}"]')
            (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        images.build(engine, settings, reference, context, [])
    names = listed.split()
    pause = next(reference for reference in names if "/pause:" in reference)
    engine.docker(
        "tag", pause, "registry.k8s.io/pause:3.10"
    )  # the sandbox image of Debian's containerd configuration in kind
    return [*names, "registry.k8s.io/pause:3.10"] if "registry.k8s.io/pause:3.10" not in names else names
