"""The operator with a kubeconfig as those of EKS: a program gives the credentials, and gives others when they end."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.operator.controlplane import OPERATOR_NAMESPACE, OPERATOR_USER, ControlPlane
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

#: Notes that it runs and what it was told, and prints the next answer; the last one again and again.
PLUGIN = """#!/bin/sh
cd "$1" || exit 1
echo run >> runs
printf '%s' "$KUBERNETES_EXEC_INFO" > told
n=$(wc -l < runs)
while [ ! -f "answer-$n" ]; do n=$((n - 1)); done
sed "s/UNTIL/$(date -u -d "+$SECONDS_GOOD seconds" +%Y-%m-%dT%H:%M:%SZ)/" "answer-$n"
"""


class Plugin:
    """A program beside a kubeconfig that names it."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.folder, self.kubeconfig = folder, folder / "kubeconfig"
        program = folder / "get-token"
        program.write_text(PLUGIN)
        program.chmod(0o755)
        self.name(plane, "./get-token")

    def name(self, plane: ControlPlane, command: str) -> None:
        config = yaml.safe_load(plane.operator.read_text())
        config["clusters"][0]["cluster"]["extensions"] = [
            {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "bapsang"}}
        ]
        config["users"][0]["user"] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": command,
                "args": [str(self.folder)],
                "env": [{"name": "SECONDS_GOOD", "value": "2"}],
                "interactiveMode": "IfAvailable",
                "provideClusterInfo": True,
                "installHint": "See the page of the cluster.",
            }
        }
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def answers(self, *statuses: dict[str, str]) -> None:
        for number, status in enumerate(statuses, 1):
            answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}
            (self.folder / f"answer-{number}").write_text(json.dumps(answer))

    def runs(self) -> int:
        found = self.folder / "runs"
        return len(found.read_text().splitlines()) if found.exists() else 0

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "told").read_text())
        return found


@pytest.fixture
def plugin(control_plane: ControlPlane, tmp_path: Path) -> Plugin:
    return Plugin(control_plane, tmp_path)


@pytest.fixture
def started(plugin: Plugin, tmp_path: Path) -> Iterator[Operator]:
    found = Operator(plugin.kubeconfig, tmp_path / "operator.log", {"BAPSANG_NAMESPACE": OPERATOR_NAMESPACE})
    yield found
    found.rest()


def _works(started: Operator, plugin: Plugin, namespace: Namespace, runs: int) -> None:
    """The operator leads on, and does its work, after as many answers."""
    started.lead()
    eventually(lambda: plugin.runs() >= runs, 30, "the plugin is asked again")
    namespace.community()
    try:
        eventually(lambda: namespace.get("StatefulSet", "c-mysql"), 30, "a child")
    except AssertionError:
        raise AssertionError(started.log.read_text()[-4000:]) from None
    assert started.leads


def test_token_that_ends_or_is_refused_is_asked_for_again(
    control_plane: ControlPlane, plugin: Plugin, started: Operator, namespace: Namespace
) -> None:
    good = yaml.safe_load(control_plane.operator.read_text())["users"][0]["user"]["token"]
    plugin.answers({"token": "not-this-one"}, {"token": good, "expirationTimestamp": "UNTIL"})
    _works(started, plugin, namespace, 4)
    spec = plugin.told()["spec"]
    assert spec["interactive"] is False
    assert spec["cluster"]["server"] == control_plane.server
    assert spec["cluster"]["config"] == {"audience": "bapsang"}
    assert good not in started.log.read_text()


def test_certificate_that_ends_is_replaced(
    control_plane: ControlPlane, plugin: Plugin, started: Operator, namespace: Namespace
) -> None:
    def status(lifetime: dt.timedelta, **more: str) -> dict[str, str]:
        certificate, key = control_plane.clients.issue(OPERATOR_USER, lifetime)
        return {"clientCertificateData": certificate, "clientKeyData": key, **more}

    # The apiserver refuses the first one after its end on every connection that was opened with it.
    end = time.time() + 8
    plugin.answers(status(dt.timedelta(seconds=8), expirationTimestamp="UNTIL"), status(dt.timedelta(hours=1)))
    started.lead()
    eventually(lambda: plugin.runs() >= 2 and time.time() > end, 60, "the first certificate has ended")
    _works(started, plugin, namespace, 2)


def test_plugin_that_is_missing_is_named_at_the_start(
    control_plane: ControlPlane, plugin: Plugin, started: Operator
) -> None:
    plugin.name(control_plane, "aws-of-nobody")
    started.launch()
    assert started.wait() == 1
    (line,) = (json.loads(line) for line in started.log.read_text().splitlines() if "cannot start" in line)
    assert 'credential plugin "aws-of-nobody" is not there' in line["message"]
    assert "See the page of the cluster." in line["message"]
