"""README's "On your own cluster": what it applies is valid, what it sets exists."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from bapsang_local.settings import from_environment
from bapsang_operator.resource import SPEC, validate

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "README.md").read_text().partition("## On your own cluster\n")[2].partition("\n## ")[0]
MANIFEST, EXTERNAL = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
COMMANDS = "".join(re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL)).replace("\\\n", "")


def _strict(schema: Any) -> Any:
    """Return the schema with unknown fields refused, as `kubectl apply` does."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}
    return closed | {name: _strict(one) for name, one in schema.items()}


@pytest.mark.parametrize("text", [MANIFEST, MANIFEST + EXTERNAL], ids=["in the cluster", "external database"])
def test_the_community_is_accepted(text: str) -> None:
    namespace, community = yaml.safe_load_all(text)
    jsonschema_rs.validator_for(_strict(SPEC)).validate(community["spec"])
    assert validate(community["spec"]) == []
    assert community["metadata"]["namespace"] == namespace["metadata"]["name"]


def test_names_of_one_block_are_those_of_the_others() -> None:
    namespace, community = yaml.safe_load_all(MANIFEST + EXTERNAL)
    registry = re.search(r"REGISTRY=(\S+)", COMMANDS)
    assert registry
    assert re.findall(r"-t \$REGISTRY/\$part:(\S+)", COMMANDS) == re.findall(r"image\.tag=(\S+)", COMMANDS) == ["0.1.0"]
    assert community["spec"]["image"] == f"{registry[1]}/api:0.1.0"
    assert f"create secret generic {community['spec']['database']['writerSecretRef']['name']} " in COMMANDS
    assert f"-n {namespace['metadata']['name']} wait community/{community['metadata']['name']} " in COMMANDS
    assert f"http://{community['spec']['host']}/" in COMMANDS


def test_values_and_files_of_the_commands_exist() -> None:
    values = yaml.safe_load((ROOT / "charts/bapsang-operator/values.yaml").read_text())
    paths = re.findall(r"--set ([\w.]+)=", COMMANDS)
    assert paths == ["image.repository", "image.tag"]
    for path in paths:
        found = values
        for name in path.split("."):
            found = found[name]
    for part in ("api", "operator"):
        assert (ROOT / part / "Dockerfile").exists()
    for path in re.findall(r"charts/\S+", COMMANDS):
        assert (ROOT / path).exists(), path


def test_the_plain_kind_of_other_machines_gets_a_community_that_is_accepted() -> None:
    page = (ROOT / "docs/local-cluster.md").read_text()
    section = page.partition("## On other machines\n")[2].partition("\n## ")[0]
    (text,) = re.findall(r"<<END\n(.*?)END", section, re.DOTALL)
    community = yaml.safe_load(text)
    jsonschema_rs.validator_for(_strict(SPEC)).validate(community["spec"])
    assert validate(community["spec"]) == []
    assert f"--name plain {community['spec']['image']} " in section
    assert f"service/{community['metadata']['name']}-api " in section
    assert community["spec"]["publicUrl"] in section.partition("END\n")[2]


def test_the_mailbox_is_where_make_up_and_make_dev_say() -> None:
    readme = (ROOT / "README.md").read_text()
    assert f"`{from_environment({}).mailbox_url}`" in readme
    documents = yaml.safe_load_all((ROOT / "manifests/local/addons/mail.yaml").read_text())
    (ingress,) = (one for one in documents if one["kind"] == "Ingress")
    assert f"//{ingress['spec']['rules'][0]['host']}:" in from_environment({}).mailbox_url
    port = re.search(r"^MAIL_PORT \?= (\d+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert port
    assert f"http://127.0.0.1:{port[1]})" in readme
