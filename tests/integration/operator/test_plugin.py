"""`kubectl bapsang` as people call it: what it prints, what it changes, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.waiting import eventually

from .controlplane import ControlPlane, free_port
from .namespace import Namespace

Answer = subprocess.CompletedProcess[str]
Plugin = Callable[..., Answer]
#: Imports the command once, which takes most of a call's time, and forks for each call; answers with its exit code.
SERVER = """
import json, os, sys
from bapsang_operator.cli.__main__ import main
for line in sys.stdin:
    arguments, *files = json.loads(line)
    child = os.fork()
    if child == 0:
        for number, file in enumerate(files, 1):
            os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.exit(main(arguments))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def plugin(control_plane: ControlPlane, up: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plugin]:
    folder = tmp_path_factory.mktemp("plugin")
    out, err = files = (folder / "out", folder / "err")
    environment = os.environ | {"KUBECONFIG": str(control_plane.admin)}
    command = [sys.executable, "-W", "ignore", "-c", SERVER]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(command: str, name: str = "c", *more: str) -> Answer:
            arguments = [command, name, "-n", up.name, *more]
            server.stdin.write(json.dumps([arguments, *map(str, files)]) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
            return subprocess.CompletedProcess(arguments, code, out.read_text(), err.read_text())

        yield run


def test_status_is_a_tree_and_tells_by_its_code_whether_all_is_well(plugin: Plugin, up: Namespace) -> None:
    answer = plugin("status")
    assert answer.returncode == 0, answer.stderr
    for line in ("├─ Ready=True (Serving)", "Deployment c-api-base  2/2 ready", "CronJob c-like-sync  * * * * *"):
        assert line in answer.stdout
    up.patch("Deployment", "c-api-base", {"status": {"availableReplicas": 0, "readyReplicas": 0}}, "/status")
    up.wait_for("Ready", "False")
    assert plugin("status").returncode == 1
    up.patch("Deployment", "c-api-base", {"status": {"availableReplicas": 2, "readyReplicas": 2}}, "/status")
    up.wait_for("Ready", "True")


def test_diff_names_the_fields_that_wait_while_paused(plugin: Plugin, up: Namespace) -> None:
    assert plugin("diff").stdout == "No difference.\n"
    assert plugin("pause", "c", "a test").returncode == 0
    up.wait_for("Paused", "True")
    up.patch("HorizontalPodAutoscaler", "c-api-burst", {"spec": {"maxReplicas": 99}})
    up.delete("PodDisruptionBudget", "c-api")
    base = up.get("Deployment", "c-api-base") or {}
    for variable in base["spec"]["template"]["spec"]["containers"][0]["env"]:
        if variable["name"] == "BAPSANG_ISSUER":
            variable["value"] = "http://wrong.example.com"
    up.patch("Deployment", "c-api-base", {"spec": {"template": base["spec"]["template"]}})
    answer = plugin("diff")
    assert answer.returncode == 1
    assert set(answer.stdout.splitlines()) == {
        "~ HorizontalPodAutoscaler c-api-burst: spec.maxReplicas is 99, wanted 10",
        "~ Deployment c-api-base: spec.template.spec.containers[api].env[BAPSANG_ISSUER].value is (hidden), wanted (hidden)",
        "+ PodDisruptionBudget c-api: does not exist",
    }
    assert plugin("resume").returncode == 0
    eventually(lambda: plugin("diff").returncode == 0, 60)


def test_hibernate_and_wake_change_the_spec(plugin: Plugin, up: Namespace) -> None:
    for command, value in (("hibernate", True), ("wake", False)):
        assert plugin(command).returncode == 0
        assert (up.get("Community", "c") or {})["spec"]["hibernate"] is value
    eventually(lambda: (up.get("Deployment", "c-api-burst") or {})["spec"]["replicas"] == 1)
    up.finish_rollout("c-api-base")
    up.finish_rollout("c-api-burst")
    up.wait_for("Progressing", "False", "UpToDate")


def test_prewarm_opens_a_window_now_and_replaces_it_later(plugin: Plugin, up: Namespace) -> None:
    for replicas in (4, 6):
        assert plugin("prewarm", "c", str(replicas), "30m").returncode == 0
        eventually(
            lambda replicas=replicas: (
                (up.get("HorizontalPodAutoscaler", "c-api-burst") or {})["spec"]["minReplicas"] == replicas
            )
        )
    (window,) = (up.get("Community", "c") or {})["spec"]["prewarm"]
    assert window["name"] == "by-hand"
    assert datetime.fromisoformat(window["at"]) <= datetime.now(UTC)
    up.patch("Community", "c", {"spec": {"prewarm": []}})


def test_like_sync_makes_a_job_of_the_cronjob(plugin: Plugin, up: Namespace) -> None:
    answer = plugin("like-sync")
    assert answer.returncode == 0, answer.stderr
    jobs = [found for (kind, name), found in up.children().items() if kind == "Job" and "-now-" in name]
    assert jobs[0]["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert jobs[0]["spec"]["template"]["spec"]["containers"][0]["args"][0] == "like-sync"
    assert "command" not in jobs[0]["spec"]["template"]["spec"]["containers"][0], "it waits as scheduled runs do"


def test_report_holds_the_children_and_no_secret(plugin: Plugin, up: Namespace) -> None:
    up.patch("Community", "c", {"spec": {"api": {"env": [{"name": "TOKEN", "value": "very-secret"}]}}})
    up.wait_for("Progressing", "True")
    answer = plugin("report")
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert {child["kind"] for child in found["children"]} >= {"Deployment", "StatefulSet", "Job"}
    assert found["events"]
    assert "very-secret" not in answer.stdout
    for name in ("c-redis", "c-mysql"):
        for value in (up.get("Secret", name) or {})["data"].values():
            assert value not in answer.stdout


def test_a_route_is_told_of_as_every_other_child(plugin: Plugin, up: Namespace, gateway_api: None) -> None:
    up.settle()
    gateway = {"parentRefs": [{"name": "public"}], "scheme": "http", "keepIngress": True}
    up.patch("Community", "c", {"spec": {"gateway": gateway}})
    eventually(lambda: up.get("HTTPRoute", "c-api"))
    eventually(lambda: "HTTPRoute c-api" in plugin("status").stdout)
    eventually(lambda: plugin("diff").stdout == "No difference.\n")
    up.patch("Community", "c", {"metadata": {"annotations": {"bapsang.dev/paused": "x"}}})
    up.wait_for("Paused", "True")
    up.delete("HTTPRoute", "c-api")
    assert plugin("diff").stdout == "+ HTTPRoute c-api: does not exist\n"
    up.patch("Community", "c", {"metadata": {"annotations": {"bapsang.dev/paused": None}}})
    up.patch("Community", "c", {"spec": {"gateway": None}})
    up.settle()


def test_refusals_are_told_in_one_line_with_code_3(plugin: Plugin) -> None:
    answer = plugin("status", "none-such")
    assert answer.returncode == 3
    assert "none-such" in answer.stderr
    assert answer.stderr.count("\n") == 1
    assert "in namespace" in answer.stderr
    answer = plugin("prewarm", "c", "400", "30m")
    assert answer.returncode == 3
    assert "spec.prewarm" in answer.stderr
    assert plugin("dance").returncode == 2


def test_a_cluster_that_cannot_be_reached_is_told_in_one_line(
    control_plane: ControlPlane, up: Namespace, tmp_path: Path
) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{free_port()}", control_plane.admin.read_text()))
    command = [sys.executable, "-W", "ignore", "-m", "bapsang_operator.cli", "status", "c", "-n", up.name]
    environment = os.environ | {"KUBECONFIG": str(config)}
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 3
    assert "cannot be reached" in answer.stderr
    assert answer.stderr.count("\n") == 1
