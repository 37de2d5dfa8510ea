"""What `make` says and does when the machine is not as it should be, and how the cluster is described."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bapsang_local import cluster, preflight, shell
from bapsang_local.engine import Engine
from bapsang_local.failure import Failure
from bapsang_local.from_packages import leftovers, node_image
from bapsang_local.settings import ROOT, Settings, from_environment

from .conftest import Client


def settings(home: Path, port: int = 8880) -> Settings:
    return Settings(home=home, context=None, ingress_port=port, images="auto")


class SilentEngine(Engine):
    """An engine without containers."""

    def docker(self, *_: Any, **__: Any) -> str:
        return ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [("BAPSANG_INGRESS_PORT", "http"), ("BAPSANG_INGRESS_PORT", "70000"), ("BAPSANG_IMAGES", "maybe")],
)
def test_a_bad_choice_is_refused_with_its_name(variable: str, value: str) -> None:
    with pytest.raises(Failure, match=variable) as refused:
        from_environment({variable: value})
    assert refused.value.advice


def test_a_failure_ends_the_command_with_exit_code_1_and_advice(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "manifests/local"),
        "BAPSANG_HOME": str(tmp_path),
        "BAPSANG_INGRESS_PORT": "0",
    }
    result = subprocess.run(
        [sys.executable, "-m", "bapsang_local", "up"], capture_output=True, text=True, env=env, timeout=60
    )
    assert result.returncode == 1
    assert "BAPSANG_INGRESS_PORT" in result.stderr
    assert "→" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failure, match="cannot be written") as refused:
        preflight.check_machine(settings(tmp_path / "file" / "home"))
    assert "BAPSANG_HOME" in refused.value.advice


@pytest.mark.parametrize(
    ("which", "pull"), [("ENGINE_PULLED_GIB", True), ("ENGINE_BUILT_GIB", False), ("HOME_BUILT_GIB", False)]
)
def test_too_little_disk_is_told_with_figures(
    docker: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, pull: bool
) -> None:
    docker.answers({"info": (0, json.dumps({"DockerRootDir": str(tmp_path)}))})
    for name in ("ENGINE_PULLED_GIB", "ENGINE_BUILT_GIB", "HOME_PULLED_GIB", "HOME_BUILT_GIB"):
        monkeypatch.setattr(preflight, name, 0)
    preflight.check_disk(Engine(None, ours=False), settings(tmp_path), pull=pull)
    monkeypatch.setattr(preflight, which, 10**9)
    with pytest.raises(Failure, match=r"GiB free, 1000000000 are needed"):
        preflight.check_disk(Engine(None, ours=False), settings(tmp_path), pull=pull)


def test_disk_is_asked_where_images_lie(docker: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    docker.answers({"info": (0, json.dumps({"DockerRootDir": "/dev/shm"}))})
    monkeypatch.setattr(preflight, "ENGINE_PULLED_GIB", 10**9)
    with pytest.raises(Failure, match="The disk of /dev/shm"):
        preflight.check_disk(Engine(None, ours=False), settings(tmp_path), pull=True)


def test_a_taken_port_is_told_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(Failure, match=f"Port {port}") as refused:
            preflight.check_port(SilentEngine(None, ours=False), settings(tmp_path, port))
    assert "BAPSANG_INGRESS_PORT" in refused.value.advice
    preflight.check_port(SilentEngine(None, ours=False), settings(tmp_path, port))


def test_no_network_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Failure, match="No package source"):
        preflight.check_network((f"http://127.0.0.1:{port}/",))


def test_nodes_look_like_managed_node_groups(tmp_path: Path) -> None:
    config = cluster._config("node:1", settings(tmp_path, 9999), bare=True)
    control_plane, on_demand, spot = config["nodes"]
    assert control_plane["extraPortMappings"] == [
        {"containerPort": 30080, "hostPort": 9999, "listenAddress": "127.0.0.1"}
    ]
    assert on_demand["labels"] == {
        "topology.kubernetes.io/zone": "ap-northeast-2a",
        "eks.amazonaws.com/capacityType": "ON_DEMAND",
    }
    assert spot["labels"] == {
        "topology.kubernetes.io/zone": "ap-northeast-2c",
        "eks.amazonaws.com/capacityType": "SPOT",
    }
    taints = json.loads(spot["kubeadmConfigPatches"][0])["nodeRegistration"]["taints"]
    assert taints == [{"key": "bapsang.dev/capacity", "value": "spot", "effect": "NoSchedule"}]


@pytest.mark.parametrize(
    ("name", "label", "bare"),
    [("bapsang/node:v1-0123", "", True), ("kindest/node:v1", "", False), ("mirrored/node:v1", "bare", True)],
)
def test_nodes_of_our_own_image_get_a_network_by_whatever_way_it_came(
    docker: Client, name: str, label: str, bare: bool
) -> None:
    docker.answers({node_image.BARE: (0, label)})
    assert node_image.is_bare(name, Engine(None, ours=False)) is bare


def test_a_pulled_node_image_keeps_its_own_network(tmp_path: Path) -> None:
    assert cluster._config("node:1", settings(tmp_path), bare=False)["networking"]["disableDefaultCNI"] is False


def test_a_failed_program_shows_its_last_words_and_no_credentials() -> None:
    with pytest.raises(Failure, match="exited with 3") as failed:
        shell.output(["sh", "-c", "echo last words >&2; exit 3 # https://user:secret@host/"])
    assert "last words" in failed.value.problem
    assert "secret" not in failed.value.problem


def test_a_firewall_rule_with_a_quoted_comment_is_kept_in_words() -> None:
    assert leftovers._words('-D FORWARD -m comment --comment "two words" -j DOCKER') == [
        "-D", "FORWARD", "-m", "comment", "--comment", "two words", "-j", "DOCKER",
    ]  # fmt: skip


def test_a_process_that_is_not_the_engine_is_never_ended() -> None:
    assert not leftovers.is_program(os.getpid(), "dockerd")
    assert leftovers.is_program(os.getpid(), "py")


def test_the_wrapper_drops_just_the_one_capability(tmp_path: Path) -> None:
    document = {
        "process": {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
    }
    (tmp_path / "config.json").write_text(json.dumps(document))
    (tmp_path / "runc").write_text("#!/bin/sh\nexit 7\n")
    (tmp_path / "runc").chmod(0o755)
    wrapper = ROOT / "manifests/local/runc-without-sys-resource"
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert subprocess.run([wrapper, "create", "--bundle", tmp_path, "name"], env=env, timeout=60).returncode == 7
    assert json.loads((tmp_path / "config.json").read_text())["process"]["capabilities"] == {
        "bounding": ["CAP_CHOWN"],
        "effective": [],
    }
