"""What `make dev` says when its S3 server or its mailbox cannot be had or cannot start."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bapsang_local import dev, mailbox, object_store, programs
from bapsang_local.failure import Failure
from bapsang_local.settings import Settings, from_environment


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A cache in which nothing has been built."""
    return from_environment({"BAPSANG_HOME": str(tmp_path / "home")})


def test_a_machine_that_can_build_nothing_is_told_what_to_install(
    settings: Settings, program: Callable[[str, str], Path]
) -> None:
    settings.home.mkdir()
    program("go", '[ "$1" = version ] && echo "go version go1.99.0 linux/amd64" || { echo "no network" >&2; exit 1; }')
    with pytest.raises(Failure, match="There is no S3 server for uploads") as refused:
        object_store.program(settings)
    assert "no network" in refused.value.problem
    for way_out in ("versitygw", "on the PATH", "BAPSANG_S3_BUCKET", "bapsang-api serve"):
        assert way_out in refused.value.advice


def test_the_server_of_the_cache_comes_before_the_machines_own(
    settings: Settings, program: Callable[[str, str], Path]
) -> None:
    own = program("versitygw", "exit 0")
    assert object_store.program(settings) == own
    built = programs.path("versitygw", settings)
    built.parent.mkdir(parents=True)
    built.touch()
    assert object_store.program(settings) == built


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"127.0.0.1:{port}: Address already in use") as refused:
            object_store.start(Path("/never-run"), tmp_path / "objects", port, [])
    assert "make dev S3_PORT=" in refused.value.advice
    assert not (tmp_path / "objects").exists()


def test_a_server_that_ends_at_its_start_is_not_waited_for(tmp_path: Path, program: Callable[[str, str], Path]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(Failure, match="exit code 7"):
        object_store.start(program("versitygw", "exit 7"), tmp_path / "objects", port, [])


def test_a_spoiled_credentials_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = a\n")
    with pytest.raises(Failure, match=f"{file} holds no 'aws_secret_access_key'") as refused:
        object_store.start(Path("/never-run"), tmp_path, 0, [])
    assert "Delete it" in refused.value.advice


def test_a_machine_without_a_mail_server_is_told_what_to_install(
    settings: Settings, program: Callable[[str, str], Path]
) -> None:
    settings.home.mkdir()
    program("go", '[ "$1" = version ] && echo "go version go1.99.0 linux/amd64" || { echo "no network" >&2; exit 1; }')
    with pytest.raises(Failure, match="There is no mail server for letters") as refused:
        mailbox.program(settings)
    for way_out in ("mailpit", "on the PATH", "BAPSANG_SMTP_URL", "BAPSANG_MAIL_FROM", "bapsang-api serve"):
        assert way_out in refused.value.advice


def test_a_port_of_the_mailbox_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Failure, match=f"127.0.0.1:{port}: Address already in use") as refused:
            mailbox.start(Path("/never-run"), port)
    assert "make dev MAIL_PORT=" in refused.value.advice


@pytest.mark.parametrize("port", ["0", "65536", "http", "", "-1", "٣"])
def test_a_bad_port_is_refused(settings: Settings, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "execve")  # it would turn pytest into the API
    with pytest.raises(Failure, match="is no port"):
        dev.run(settings, ["8000", "8001", port], {"BAPSANG_S3_BUCKET": "own", "BAPSANG_SMTP_URL": "own"})
