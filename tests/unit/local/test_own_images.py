"""The tag of an image of the project follows what goes into it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bapsang_local import images
from bapsang_local.docker import Engine
from bapsang_local.settings import ROOT, Settings, from_environment

from .conftest import Client

ENGINE = Engine(None, ours=False)
DOCKERFILE = """ARG BASE_IMAGE=python:3.13-slim
FROM ${BASE_IMAGE} AS builder
COPY api/requirements.txt /build/requirements.txt
COPY api/package /app/package
FROM ${BASE_IMAGE}
COPY --from=builder /app /app
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docker: Client) -> Path:
    root = tmp_path / "checkout"
    (root / "api/package/__pycache__").mkdir(parents=True)
    (root / "operator").mkdir()
    for folder in ("api", "operator"):
        (root / folder / "Dockerfile").write_text(DOCKERFILE)
    (root / "api/requirements.txt").write_text("fastapi\n")
    (root / "api/package/app.py").write_text("pass\n")
    monkeypatch.setattr(images, "ROOT", root)
    docker.answers({"inspect --format": (0, "sha256:base")})
    return root


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"BAPSANG_HOME": str(tmp_path)})


def tag(settings: Settings) -> str:
    return images.build_own(ENGINE, settings)["bapsang/api:0.1.0"]


def test_what_does_not_go_into_the_image_leaves_its_tag(checkout: Path, settings: Settings) -> None:
    before = tag(settings)
    os.utime(checkout / "api/package/app.py", (1, 1))
    (checkout / "api/package/__pycache__/app.pyc").write_text("x")
    (checkout / "api/README.md").write_text("x")
    assert tag(settings) == before


@pytest.mark.parametrize("name", ["api/package/app.py", "api/requirements.txt", "api/Dockerfile", "api/package/new.py"])
def test_what_goes_into_it_changes_it(checkout: Path, settings: Settings, name: str) -> None:
    before = tag(settings)
    with (checkout / name).open("a") as file:
        file.write("# more\n")
    assert tag(settings) != before


def test_so_do_a_renamed_file_and_the_right_to_run_it(checkout: Path, settings: Settings) -> None:
    tags = {tag(settings)}
    (checkout / "api/package/app.py").rename(checkout / "api/package/main.py")
    tags.add(tag(settings))
    (checkout / "api/package/main.py").chmod(0o755)
    tags.add(tag(settings))
    assert len(tags) == 3


def test_so_does_another_base(checkout: Path, settings: Settings, docker: Client) -> None:
    before = tag(settings)
    docker.answers({"inspect --format": (0, "sha256:newer")})
    assert tag(settings) != before


def test_an_image_of_the_same_inputs_is_not_built_again(checkout: Path, settings: Settings, docker: Client) -> None:
    name = tag(settings)
    assert not docker.asked("build")
    docker.answers({"inspect --format": (0, "sha256:base"), f"inspect {name}": (1, "No such image")})
    assert tag(settings) == name
    assert len(docker.asked(f"--tag {name} ")) == 1


def test_all_that_the_real_dockerfiles_copy_is_found() -> None:
    for image in images.own():
        dockerfile = (ROOT / image.dockerfile).read_text()
        folder = image.dockerfile.partition("/")[0]
        found = {str(path.relative_to(ROOT)) for path in images.context_files(dockerfile, ROOT)}
        assert {f"{folder}/requirements.txt", f"{folder}/bapsang_{folder}/__main__.py"} <= found
        assert images.bases(dockerfile) == ["python:3.13-slim"]


@pytest.mark.parametrize(
    ("version", "options"),
    [("1.41", ""), ("1.47", ""), ("1.48", "--platform linux/arm64 "), ("1.52", "--platform linux/arm64 ")],
)
def test_nodes_get_one_platform_where_docker_can_save_one(
    docker: Client, tmp_path: Path, version: str, options: str
) -> None:
    docker.answers({"version": (0, f"{version} linux/arm64")})
    ENGINE.save(tmp_path / "archive.tar", "busybox:1.37", "redis:8.0")
    assert docker.asked("save") == [f"image save {options}--output {tmp_path}/archive.tar busybox:1.37 redis:8.0"]
