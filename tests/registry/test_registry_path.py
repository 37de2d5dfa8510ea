"""`make up` as on a laptop with Docker and a registry: from an empty engine to the smoke run, without Go and without root."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bapsang_local.engine import Engine
from bapsang_local.settings import from_environment

from .laptop import Laptop, Registry, filled, running

pytestmark = [pytest.mark.nightly("registry"), pytest.mark.timeout(1700)]
KINDS = "deployments,statefulsets,daemonsets,services,ingresses,hpa,pdb,cronjobs,communities,configmaps"


@pytest.fixture(scope="module")
def served(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry with the images of this machine."""
    assert os.geteuid() == 0, "the second machine needs root: a network namespace and a Docker engine of its own"
    return filled(tmp_path_factory.mktemp("registry"), engine, from_environment())


@pytest.fixture(scope="module", params=["current Docker", "this machine's Docker"])
def laptop(request: pytest.FixtureRequest, engine: Engine, served: Registry) -> Iterator[Laptop]:
    """The second machine, after its first `make up`."""
    # Not below pytest's own folder, which root keeps to itself: the user looks for programs in it.
    with tempfile.TemporaryDirectory(prefix="bapsang-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        current = request.param == "current Docker"
        with running(folder, served, engine, from_environment(), current=current) as made:
            ended = made.make("up")
            assert ended.returncode == 0, ended.stdout + ended.stderr
            assert "three likes in MySQL" in ended.stdout
            yield made


def generations(laptop: Laptop) -> dict[str, tuple[str, int]]:
    home = laptop.home / "user" / "bapsang"
    listed = laptop.run(
        [home / "bin" / "kubectl", "get", KINDS, "-A", "-o", "json"], 60, KUBECONFIG=str(home / "kubeconfig")
    )
    assert listed.returncode == 0, listed.stderr
    return {
        f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}": (
            item["metadata"]["uid"],
            item["metadata"].get("generation", 0),
        )
        for item in json.loads(listed.stdout)["items"]
    }


def test_current_docker_keeps_images_in_containerd(laptop: Laptop, request: pytest.FixtureRequest) -> None:
    current = "current Docker" in request.node.name
    assert ("io.containerd.snapshotter" in str(laptop.engine.facts()["DriverStatus"])) is current


def test_nothing_was_compiled(laptop: Laptop) -> None:
    built = {path.name for path in (laptop.home / "user" / "bapsang" / "bin").iterdir()}
    assert built == {"kubectl", "kubectl.origin"}
    assert not Path(laptop.home / "user" / "go").exists()


def test_a_second_make_up_changes_nothing(laptop: Laptop) -> None:
    before = generations(laptop)
    assert "Community community/bapsang" in before
    ended = laptop.make("up")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "built" not in ended.stdout
    assert "pulled" not in ended.stdout
    assert generations(laptop) == before


def test_without_a_choice_the_next_run_knows_where_its_images_came_from(laptop: Laptop) -> None:
    ended = laptop.make("cluster", BAPSANG_IMAGES="")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "built from" not in ended.stdout


def test_a_mirror_that_is_gone_is_told_and_nothing_is_compiled(laptop: Laptop) -> None:
    laptop.engine.docker("tag", "busybox:1.37", "kept:1")
    laptop.engine.docker("image", "rm", "--no-prune", "busybox:1.37")
    try:
        ended = laptop.make("cluster", BAPSANG_MIRROR="127.0.0.1:9")
    finally:
        laptop.engine.docker("tag", "kept:1", "busybox:1.37")
    assert ended.returncode == 1
    assert "127.0.0.1:9 cannot be reached" in ended.stderr


def test_make_down_leaves_nothing_and_the_engine_running(laptop: Laptop) -> None:
    ended = laptop.make("down")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert not laptop.engine.docker("ps", "--all", "--quiet")
    assert laptop.engine.answers()
