"""Credentials by a program: what is taken of its answer, what is refused, and that requests share one run."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bapsang_operator.cluster import exec_plugin
from bapsang_operator.cluster.exec_plugin import Plugin, PluginError

VERSION = "client.authentication.k8s.io/v1beta1"
CLUSTER = {"server": "https://127.0.0.1:1", "certificate-authority-data": "Y2E="}
SECRET = "Wonderland"
Write = Callable[[str], Plugin]


def said(version: str = VERSION, **status: Any) -> str:
    return json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": status})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a program and return it as a plugin."""

    def found(text: str, **config: Any) -> Plugin:
        program = tmp_path / "plugin"
        program.write_text(f"#!/bin/sh\necho run >> {tmp_path}/runs\n{text}\n")
        program.chmod(0o755)
        return Plugin({"apiVersion": VERSION, "command": "./plugin", **config}, CLUSTER, tmp_path, True)

    return found


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


async def test_one_run_serves_all_who_wait_and_until_it_ends(write: Write, tmp_path: Path) -> None:
    plugin = write(f"cat <<'.'\n{said(token='t')}\n.")
    answers = await asyncio.gather(*(plugin.answer() for _ in range(20)))
    assert {answer.token for answer in answers} == {"t"}
    await plugin.answer()
    assert runs(tmp_path) == 1
    # Twenty requests were refused at once: one of them asks again.
    for answer in answers:
        plugin.refused(answer)
    fresh = await plugin.answer()
    plugin.refused(answers[0])
    assert await plugin.answer() is fresh
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(("until", "count"), [("2020-01-01T00:00:00Z", 3), ("2999-01-01T00:00:00Z", 1)])
async def test_expired_answer_is_asked_for_again(write: Write, tmp_path: Path, until: str, count: int) -> None:
    plugin = write(f"cat <<'.'\n{said(token='t', expirationTimestamp=until)}\n.")
    for _ in range(3):
        await plugin.answer()
    assert runs(tmp_path) == count


async def test_request_that_gives_up_does_not_end_the_run(write: Write, tmp_path: Path) -> None:
    """Else a plugin that takes longer than a request may would never be heard."""
    plugin = write(f"while [ ! -e {tmp_path}/go ]; do sleep 0.01; done\ncat <<'.'\n{said(token='t')}\n.")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(plugin.answer(), 0.2)
    (tmp_path / "go").touch()
    assert (await plugin.answer()).token == "t"
    assert runs(tmp_path) == 1


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 7", "ended with code 7"),
        ("echo hello", "did not answer with an ExecCredential"),
        (f"echo '{json.dumps([SECRET])}'", "did not answer with an ExecCredential"),
        (f"echo '{said('client.authentication.k8s.io/v1', token=SECRET)}'", f"ExecCredential of {VERSION}"),
        (f"echo '{said()}'", "neither a token nor a client certificate"),
        (f"echo '{said(clientKeyData=SECRET)}'", "neither a token nor a client certificate"),
        (f"echo '{said(token=SECRET, expirationTimestamp='soon')}'", "did not answer with an ExecCredential"),
        ("head -c 2000000 /dev/zero; sleep 60", "answered more than 1048576 bytes"),
        ("exec sleep 60", "has not ended within 0.5 s"),
    ],
)
async def test_unusable_answer_names_the_plugin_and_repeats_nothing(
    write: Write, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(exec_plugin, "_SECONDS", 0.5 if "exec sleep" in script else 30.0)
    with pytest.raises(PluginError, match=words) as refused:
        await write(script).answer()
    assert str(refused.value).startswith('credential plugin "./plugin" ')
    assert SECRET not in str(refused.value)


async def test_certificate_without_sense_is_told(write: Write) -> None:
    plugin = write(f"cat <<'.'\n{said(clientCertificateData='c', clientKeyData='k')}\n.")
    plugin._tls = ssl.create_default_context()
    with pytest.raises(PluginError, match="certificate and a key that do not fit"):
        await plugin.answer()


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"command": ""}, "needs a command"),
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "needs a command and an apiVersion"),
        ({"interactiveMode": "Always"}, "wants to talk to a person"),
    ],
)
def test_plugin_that_can_never_be_run_is_refused_at_once(write: Write, config: dict[str, Any], words: str) -> None:
    with pytest.raises(PluginError, match=words):
        write("exit 0", **config)


@pytest.mark.parametrize("provided", [True, False])
async def test_plugin_is_told_of_the_cluster_where_it_asks_for_it(write: Write, tmp_path: Path, provided: bool) -> None:
    script = f'printf %s "$KUBERNETES_EXEC_INFO" > {tmp_path}/told; echo "$FROM" >&2; cat <<\'.\'\n{said(token="t")}\n.'
    await write(script, provideClusterInfo=provided, env=[{"name": "FROM", "value": "x"}]).answer()
    told = json.loads((tmp_path / "told").read_text())
    assert (told["kind"], told["apiVersion"]) == ("ExecCredential", VERSION)
    assert told["spec"] == {"interactive": False, **({"cluster": CLUSTER} if provided else {})}
