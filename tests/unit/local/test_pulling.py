"""A failed pull says of what kind it is, and only a registry that nobody can reach makes images be built instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bapsang_local import images, registry, sources
from bapsang_local.docker import Engine
from bapsang_local.failure import Failure
from bapsang_local.from_packages import debian
from bapsang_local.settings import Settings, from_environment

from .conftest import Client

ENGINE = Engine(None, ours=False)
HERE = "Error response from daemon: "
# As Docker words it: taken from its client, those of tests/integration/local/test_pulling.py among them.
ANSWERS = {
    f"{HERE}toomanyrequests: You have reached your pull rate limit.": "(429)",
    f'{HERE}Get "https://registry-1.docker.io/v2/": context deadline exceeded '
    "(Client.Timeout exceeded while awaiting headers)": "did not answer in time",
    f'{HERE}Get "https://registry-1.docker.io/v2/": net/http: TLS handshake timeout': "did not answer in time",
    "no answer within 900 s": "did not answer in time",
    f"{HERE}pull access denied for bapsang/x, repository does not exist or may require 'docker login'": "credentials",
    f'{HERE}Head "http://127.0.0.1:45031/v2/busybox/manifests/1.37": no basic auth credentials': "credentials",
    f"{HERE}manifest unknown": "does not have it",
    f'{HERE}Get "https://r/v2/": x509: certificate signed by unknown authority': "certificate",
    f"{HERE}received unexpected HTTP status: 500 Internal Server Error": "500 Internal Server Error",
}
UNREACHABLE = [
    f'{HERE}Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io on 10.0.0.2:53: no such host',
    f'{HERE}Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: i/o timeout',
    f'{HERE}Get "http://127.0.0.1:9/v2/": dial tcp 127.0.0.1:9: connect: connection refused',
    f'{HERE}Get "https://registry-1.docker.io/v2/": dial tcp 192.0.2.1:443: connect: no route to host',
    f'{HERE}Get "https://registry-1.docker.io/v2/": dial tcp 192.0.2.1:443: i/o timeout',
    f'{HERE}Get "https://registry-1.docker.io/v2/": net/http: request canceled while waiting for connection '
    "(Client.Timeout exceeded while awaiting headers)",
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return from_environment({"BAPSANG_HOME": str(tmp_path)})


@pytest.fixture
def buildable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root on Debian."""
    release = tmp_path / "os-release"
    release.write_text("ID=debian\n")
    monkeypatch.setattr(debian, "_RELEASE", release)
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def failing(docker: Client, said: str) -> None:
    docker.answers({"image inspect": (1, "No such image"), "pull": (1, said)})


@pytest.mark.usefixtures("buildable")
@pytest.mark.parametrize(("said", "told"), ANSWERS.items())
def test_a_registry_that_answers_is_never_replaced_by_compiling(
    docker: Client, settings: Settings, said: str, told: str
) -> None:
    failing(docker, said)
    with pytest.raises(Failure) as failed:
        sources.pulled(ENGINE, settings)
    assert told in failed.value.problem
    assert said in failed.value.problem
    assert "BAPSANG_IMAGES=build" in failed.value.advice


@pytest.mark.usefixtures("buildable")
@pytest.mark.parametrize("said", UNREACHABLE)
def test_where_no_registry_can_be_reached_root_on_debian_is_told_how_long_building_takes(
    docker: Client, settings: Settings, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    failing(docker, said)
    assert sources.pulled(ENGINE, settings) is False
    told = capsys.readouterr().out
    assert "docker.io cannot be reached" in told
    assert "20 to 35 minutes" in told


@pytest.mark.usefixtures("buildable")
@pytest.mark.parametrize(("user", "release", "missing"), [(1000, "ID=debian\n", "root"), (0, "ID=arch\n", "Debian")])
@pytest.mark.parametrize("choice", ["", "build"])
def test_who_cannot_build_is_told_at_once(
    docker: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: int, release: str, missing: str, choice: str
) -> None:
    (tmp_path / "os-release").write_text(release)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    failing(docker, UNREACHABLE[0])
    with pytest.raises(Failure, match=f"needs {missing}") as failed:
        sources.pulled(ENGINE, from_environment({"BAPSANG_HOME": str(tmp_path), "BAPSANG_IMAGES": choice}))
    assert "container registry" in failed.value.advice


def test_a_choice_is_not_questioned(docker: Client, tmp_path: Path) -> None:
    assert sources.pulled(ENGINE, from_environment({"BAPSANG_HOME": str(tmp_path), "BAPSANG_IMAGES": "pull"}))
    assert not docker.asked()


@pytest.mark.parametrize(("label", "pulled"), [("0123abcd", False), ("", True)])
def test_what_the_engine_has_decides_for_later_runs(
    docker: Client, settings: Settings, label: str, pulled: bool
) -> None:
    docker.answers({images.INPUTS: (0, label)})
    assert sources.pulled(ENGINE, settings) is pulled
    assert not docker.asked("pull")


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("busybox:1.37", "mirror:5000/proxy/docker.io/library/busybox:1.37"),
        ("kindest/node:v1.34.11", "mirror:5000/proxy/docker.io/kindest/node:v1.34.11"),
        ("registry.k8s.io/pause:3.10.1", "mirror:5000/proxy/registry.k8s.io/pause:3.10.1"),
        ("localhost:5000/own:1", "mirror:5000/proxy/localhost:5000/own:1"),
    ],
)
def test_a_mirror_has_images_under_their_whole_names(docker: Client, tmp_path: Path, name: str, there: str) -> None:
    docker.answers({"image inspect": (1, "No such image")})
    mirror = {"BAPSANG_HOME": str(tmp_path), "BAPSANG_MIRROR": "mirror:5000/proxy"}
    registry.pull(ENGINE, name, from_environment(mirror), digest="sha256:12")
    assert docker.asked("pull") == [f"pull --quiet {there}@sha256:12"]
    assert docker.asked("tag") == [f"tag {there}@sha256:12 {name}"]


@pytest.mark.parametrize("mirror", ["https://mirror", "mirror/"])
def test_a_mirror_that_is_no_prefix_of_names_is_refused(mirror: str) -> None:
    with pytest.raises(Failure, match="BAPSANG_MIRROR"):
        from_environment({"BAPSANG_MIRROR": mirror})


def test_the_node_image_is_pulled_by_its_digest_unless_another_one_is_named(docker: Client, tmp_path: Path) -> None:
    docker.answers({"image inspect": (1, "No such image")})
    name = images.pull_node_image(ENGINE, from_environment({"BAPSANG_HOME": str(tmp_path)}))
    assert [line.partition("@")[2][:7] for line in docker.asked("pull")] == ["sha256:"]
    assert "@" not in name
    named = {"BAPSANG_HOME": str(tmp_path), "BAPSANG_NODE_IMAGE": "example.com/node:v1.34.2"}
    assert images.pull_node_image(ENGINE, from_environment(named)) == "example.com/node:v1.34.2"
    assert docker.asked("pull")[1:] == ["pull --quiet example.com/node:v1.34.2"]
