"""`python -m bapsang_local up|cluster|down|purge|smoke|seed|run|dev|tilt|browser|kubeconfig|images|test-tools`: what the Makefile calls."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import shutil
import sys
from pathlib import Path

from . import (
    browser,
    deploy,
    dev,
    engine,
    images,
    kubectl,
    lock,
    preflight,
    programs,
    seeding,
    shell,
    smoke,
    sources,
    stand_in,
    tilting,
)
from . import cluster as clusters
from .cluster import Cluster
from .docker import Engine
from .failure import Failure
from .from_packages import built_images, node_image
from .progress import say, step
from .settings import COMMUNITY, COMMUNITY_NAMESPACE, Settings, from_environment

# Asked only when something must be downloaded: any answer proves that the network is there.
PACKAGE_SOURCES = ("https://pypi.org/", "https://proxy.golang.org/", "http://deb.debian.org/")


def main() -> int:
    """Run one command. Exit codes: 0 done, 1 something is wrong and was explained, 2 usage, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="bapsang_local", description="The local Bapsang cluster.")
    parser.add_argument("command", choices=[*_COMMANDS, "run", "dev", "tilt", "browser", "kubeconfig"])
    parser.add_argument("arguments", nargs="*", help="of `tilt up`; the three ports of `dev`")
    parsed = parser.parse_args()
    command: str = parsed.command
    try:
        settings = from_environment()
        if command == "kubeconfig":
            print(settings.kubeconfig)
            return 0
        if command == "run":  # for hours, beside which others work on the cluster
            return stand_in.run(settings)
        if command == "dev":  # which has nothing to do with the cluster
            dev.run(settings, parsed.arguments)
        if command == "tilt":
            tilt = tilting.program()
            with lock.alone(settings):
                cluster, _ = _cluster(settings)
            tilting.run(tilt, cluster.engine, settings, parsed.arguments)
        if command == "browser":  # which has nothing to do with the cluster, and must not wait for a `make up`
            _browser(settings)
            return 0
        with lock.alone(settings):
            _COMMANDS[command](settings)
    except Failure as failure:
        print(f"\n✗ {failure.problem}", file=sys.stderr)
        if failure.advice:
            print(f"  → {failure.advice}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\n✗ {error}", file=sys.stderr)
        print(
            "  → A full disk or a missing right, most likely; the same command goes on once that is mended.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Finished steps are kept: the same command goes on from here.", file=sys.stderr)
        # Threads may still wait for a child that ignores the interrupt; nothing is left to do for them.
        sys.stderr.flush()
        os._exit(130)
    return 0


def _up(settings: Settings) -> None:
    if settings.context:
        _up_elsewhere(settings, settings.context)
        return
    cluster, exact = _cluster(settings)
    deploy.operator(cluster, exact["bapsang/operator:0.1.0"])
    community = deploy.sample(cluster, settings, exact["bapsang/api:0.1.0"])
    with step("smoke run"):
        table = smoke.run(cluster, settings)
    (settings.home / "complete").touch()
    print(f"\n{table.text()}\n")
    print(f"  {community['status']['url']}/docs   (log in as demo@bapsang.localhost, password {smoke.DEMO_PASSWORD})\n")
    print(f"  {settings.mailbox_url}   (the letters that it sends, all of them)\n")
    print("  Next:  export KUBECONFIG=$(make -s kubeconfig)")
    print(f"         {cluster.kubectl_path} get community -A")
    print(f"         {cluster.kubectl_path} describe community {COMMUNITY} -n {COMMUNITY_NAMESPACE}")
    print("         make test     unit, integration and end-to-end tests")
    print("         make down     stops and removes everything\n")


def _cluster(settings: Settings) -> tuple[Cluster, dict[str, str]]:
    """Bring up the kind cluster with add-ons and all images loaded; return it and the exact names of the project's images."""
    preflight.check_machine(settings)
    docker = engine.ensure(settings)
    preflight.check_port(docker, settings)
    exact, image = _prepare(docker, settings)
    cluster = clusters.ensure(docker, settings, kubectl.provide(image, docker, settings), image)
    bare = node_image.is_bare(image, docker)
    wanted = {row.name: row.nodes for row in images.table() if row.nodes and (bare or "local-path" not in row.name)}
    clusters.load(cluster, exact, wanted)
    deploy.addons(cluster, bare=bare)
    deploy.storage(cluster)
    deploy.mailbox(cluster)
    return cluster, exact


def _prepare(docker: Engine, settings: Settings) -> tuple[dict[str, str], str]:
    """Get all programs and images; return the exact names of the project's images and the node image.

    The long compilations run beside the downloads, which wait for the network most of the time.
    """
    pull = sources.pulled(docker, settings)
    preflight.check_disk(docker, settings, pull=pull)
    if not pull and not (settings.home / "complete").exists():
        preflight.check_network(PACKAGE_SOURCES)
    every = [program for program in programs.table().values() if not program.measure]
    needed = [program.name for program in every if program.host or not pull]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        work: list[concurrent.futures.Future[None]] = [
            pool.submit(lambda: programs.obtain_all(needed, settings, own=not pull)),
            pool.submit(images.pull if pull else built_images.provide, docker, settings),
        ]
        try:
            for done in concurrent.futures.as_completed(work):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    exact = images.build_own(docker, settings)
    return exact, images.pull_node_image(docker, settings) if pull else node_image.provide(docker, settings)


def _up_elsewhere(settings: Settings, context: str) -> None:
    """Install into the cluster that BAPSANG_CONTEXT names. It must be able to pull (or already have) the project's images."""
    program = shutil.which("kubectl")
    if not program:
        raise Failure(
            "BAPSANG_CONTEXT needs kubectl on the PATH.",
            "Install kubectl, or unset BAPSANG_CONTEXT for the built-in cluster.",
        )
    settings.home.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(Engine(None, ours=False), settings, Path(program), context)
    if not cluster.kubectl_tries("get", "--raw", "/readyz", "--request-timeout=10s", timeout=20):
        raise Failure(f"The context {context} does not answer.", "See `kubectl config get-contexts`.")
    if context.startswith("kind-"):
        docker = engine.ensure(settings)
        exact = images.build_own(docker, settings)
        command: list[str | Path] = [
            programs.on_host("kind", settings),
            "load",
            "docker-image",
            *exact,
            "--name",
            context.removeprefix("kind-"),
        ]
        with step(f"images loaded into {context}"):
            shell.output(command, env=docker.environment(), timeout=900)
    deploy.storage(cluster)
    deploy.mailbox(cluster)
    deploy.operator(cluster, "bapsang/operator:0.1.0")
    deploy.sample(cluster, settings, "bapsang/api:0.1.0")
    say("The Community is ready. Its ingress is your cluster's own: see `kubectl get ingress -n community`.")


def _down(settings: Settings) -> None:
    found = engine.find()
    if found:
        clusters.delete(found, settings)
        clusters.delete_test_containers(found)
        engine.stop(found, settings)
    else:
        engine.clear(settings)  # what an engine left that was killed
    say(f"Nothing runs any more. Caches stay in {settings.home} (`make purge` removes them).")


def _purge(settings: Settings) -> None:
    _down(settings)
    for entry in settings.home.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _smoke(settings: Settings) -> None:
    print(smoke.run(_running(settings), settings).text())


def _seed(settings: Settings) -> None:
    say(seeding.run(_running(settings), os.environ.get("SIZE", "small")))


def _running(settings: Settings) -> Cluster:
    docker = engine.find()
    if docker is None or not settings.kubeconfig.exists():
        raise Failure("No local cluster runs.", "Run `make up`.")
    return Cluster(docker, settings, settings.bin / "kubectl")


def _browser(settings: Settings) -> None:
    browser.ensure(settings)


def _only_cluster(settings: Settings) -> None:
    _cluster(settings)
    say(f"The cluster is up. KUBECONFIG={settings.kubeconfig}")


def _images(settings: Settings) -> None:
    preflight.check_machine(settings)
    docker = engine.ensure(settings)
    _prepare(docker, settings)
    for image in images.of_tests():
        sources.provide(image, docker, settings)
    _test_tools(settings)


def _test_tools(settings: Settings) -> None:
    for program in programs.table().values():
        if program.test:
            programs.build(program.name, settings)


_COMMANDS = {
    "up": _up,
    "cluster": _only_cluster,
    "down": _down,
    "purge": _purge,
    "smoke": _smoke,
    "seed": _seed,
    "images": _images,
    "test-tools": _test_tools,
}

if __name__ == "__main__":
    sys.exit(main())
