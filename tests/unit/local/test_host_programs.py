"""The host's own programs are used where their version fits, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bapsang_local import kubectl, programs
from bapsang_local.docker import Engine
from bapsang_local.settings import parts

from .conftest import Client

Writer = Callable[[str, str], Path]
MAJOR, MINOR, _ = map(int, parts()["kubernetes"]["version"].split("."))


def told(major: int, minor: str) -> str:
    return "echo '" + json.dumps({"clientVersion": {"major": str(major), "minor": minor}}) + "'"


@pytest.mark.parametrize("minor", [f"{MINOR - 1}", f"{MINOR}", f"{MINOR + 1}", f"{MINOR}+"])
def test_a_kubectl_within_one_minor_version_is_used(program: Writer, minor: str) -> None:
    own = program("kubectl", told(MAJOR, minor))
    assert kubectl.of_host() == own


@pytest.mark.parametrize(
    "text",
    [told(MAJOR, f"{MINOR - 2}"), told(MAJOR, f"{MINOR + 2}"), told(MAJOR + 1, f"{MINOR}"), "exit 1", "echo '[]'"],
)
def test_any_other_is_left_alone(program: Writer, text: str) -> None:
    program("kubectl", text)
    assert kubectl.of_host() is None


def test_the_path_is_the_same_whichever_it_is(
    docker: Client, tmp_path: Path, program: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = programs.Settings(home=tmp_path, context=None, ingress_port=1, images="auto")
    monkeypatch.setattr(kubectl, "of_host", lambda: program("kubectl", "echo host"))
    assert kubectl.provide("node:1", Engine(None, ours=False), settings).read_text() == "#!/bin/sh\necho host\n"


KIND = programs.table()["kind"]
YEARS = tuple(map(int, KIND.version.split(".")))


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        (KIND.version, True),
        (f"{YEARS[0]}.{YEARS[1] + 1}.0", True),
        (f"{YEARS[0]}.{YEARS[1] - 1}.9", False),
        (f"{YEARS[0] + 1}.{YEARS[1]}.{YEARS[2]}", False),
    ],
)
def test_kind_and_helm_of_the_host_are_not_older(program: Writer, version: str, fits: bool) -> None:
    assert programs.fits(program("kind", f"echo 'kind v{version} go1.26.1 linux/amd64'"), KIND) is fits


def test_a_program_that_tells_no_version_is_not_used(program: Writer) -> None:
    assert not programs.fits(program("kind", "exit 1"), KIND)


def test_tests_get_their_programs_by_a_command_of_their_own() -> None:
    assert {name for name, row in programs.table().items() if row.test} == {
        "etcd",
        "helm",
        "kube",
        "mailpit",
        "versitygw",
    }
