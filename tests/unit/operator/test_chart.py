"""The chart: its CRD is the printed schema, its rights are what the code uses, and its values are checked."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import yaml

import bapsang_operator
from bapsang_operator import __main__, kinds, names
from bapsang_operator.kinds import (
    CHILDREN,
    COMMUNITY,
    CONFIG_MAP,
    EVENT,
    HTTP_ROUTE,
    LEASE,
    NODE,
    POD,
    SCALED_OBJECT,
    SECRET,
)
from bapsang_operator.metrics import Metrics
from bapsang_operator.resource import validate

ROOT = Path(__file__).resolve().parents[3]
CHART = ROOT / "charts" / "bapsang-operator"
SOURCES = Path(str(bapsang_operator.__file__)).parent
ROLES = ("clusterrole", "watched", "role")


def _rights(template: str = "files/rules.yaml") -> dict[tuple[str, str], set[str]]:
    text = re.sub(r"(?m)^\s*\{\{-.*\}\}\s*$", "", (CHART / template).read_text())
    found_rules = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "x", text))
    rules = found_rules["rules"] if isinstance(found_rules, dict) else found_rules
    found: dict[tuple[str, str], set[str]] = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for plural in rule["resources"]:
                for name in rule.get("resourceNames", [""]):
                    key = (group, f"{plural}/{name}" if name else plural)
                    assert key not in found, "each resource once, so that its rights are read at one place"
                    found[key] = set(rule["verbs"])
    return found


def test_rights_are_exactly_those_that_the_code_uses() -> None:
    wanted = {
        (COMMUNITY.group, COMMUNITY.plural): {"list", "watch"},
        (COMMUNITY.group, f"{COMMUNITY.plural}/status"): {"patch"},
        (SECRET.group, SECRET.plural): {"get", "create", "patch"},
        (CONFIG_MAP.group, CONFIG_MAP.plural): {"get"},
        (POD.group, POD.plural): {"list", "watch", "delete"},
        (EVENT.group, EVENT.plural): {"create", "list"},
        ("apps", "deployments/scale"): {"patch"},
    }
    for kind in CHILDREN:
        verbs = {"get", "list", "watch", "create", "patch"}
        wanted[kind.group, kind.plural] = verbs | ({"delete"} if kind.deletable else set())
    assert _rights() == wanted


def test_rights_on_scaled_objects_come_with_keda_alone() -> None:
    assert _rights("files/keda.yaml") == {
        (SCALED_OBJECT.group, SCALED_OBJECT.plural): {"get", "create", "patch", "delete"},
    }
    for template in ("clusterrole", "watched"):
        text = (CHART / f"templates/{template}.yaml").read_text()
        assert re.search(r"if \$?\.Values\.keda\.enabled \}\}\s+\{\{- \$?\.Files\.Get \"files/keda\.yaml\"", text), (
            template
        )


def test_rights_on_routes_come_with_the_gateway_alone() -> None:
    assert _rights("files/gateway.yaml") == {
        (HTTP_ROUTE.group, HTTP_ROUTE.plural): {"get", "list", "watch", "create", "patch", "delete"}
    }
    for template in ("clusterrole", "watched"):
        text = (CHART / f"templates/{template}.yaml").read_text()
        file = r"\{\{- \$?\.Files\.Get \"files/gateway\.yaml\""
        assert re.search(rf"if \$?\.Values\.gateway\.enabled \}}\}}\s+{file}", text), template


def test_rights_on_nodes_are_to_read_one_and_only_where_the_whole_cluster_is_watched() -> None:
    assert _rights("files/nodes.yaml") == {(NODE.group, NODE.plural): {"get"}}
    given = {name: "files/nodes.yaml" in (CHART / f"templates/{name}.yaml").read_text() for name in ROLES}
    assert given == {"clusterrole": True, "watched": False, "role": False}


def test_rights_in_its_own_namespace_are_those_on_its_lease() -> None:
    one = (LEASE.group, f"{LEASE.plural}/{names.MANAGER}")
    assert _rights("templates/role.yaml") == {(LEASE.group, LEASE.plural): {"create"}, one: {"get", "update"}}


def test_nothing_that_holds_data_is_ever_deleted() -> None:
    deletable = {"CronJob", "Deployment", "HorizontalPodAutoscaler", "Job", "Ingress"}
    assert {kind.name for kind in CHILDREN if kind.deletable} == deletable


def test_secrets_are_neither_watched_nor_listed() -> None:
    assert SECRET not in kinds.WATCHED
    assert _rights()["", "secrets"].isdisjoint({"list", "watch", "delete", "update"})


def test_only_transport_and_credentials_open_connections() -> None:
    users = {path.name for path in SOURCES.rglob("*.py") if "ClientSession(" in path.read_text()}
    assert users == {"credentials.py"}
    senders = {path.name for path in SOURCES.rglob("*.py") if "_session.request(" in path.read_text()}
    assert senders == {"transport.py"}


def test_operator_folder_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_crd_file_is_the_printed_schema() -> None:
    printed = (CHART / "crds/communities.bapsang.dev.yaml").read_text()
    assert printed == __main__.crd(), (
        "run: bapsang-operator crd > charts/bapsang-operator/crds/communities.bapsang.dev.yaml"
    )


def _fields(schema: dict[str, Any], path: str = "spec") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, child in schema.get("properties", {}).items():
        found += _fields(child, f"{path}.{name}")
    if "items" in schema:
        found += _fields(schema["items"], f"{path}[]")
    return found


def _schema() -> dict[str, Any]:
    crd = yaml.safe_load((CHART / "crds/communities.bapsang.dev.yaml").read_text())
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


def test_every_field_is_described_and_bounded() -> None:
    for path, schema in _fields(_schema()["spec"]):
        assert schema.get("description"), path
        kind = schema.get("type", "string")
        if kind == "string":
            assert "maxLength" in schema or "enum" in schema, path
        elif kind == "array":
            assert "maxItems" in schema, path
        elif kind == "integer":
            assert {"minimum", "maximum"} <= set(schema), path
        elif "additionalProperties" in schema:
            assert "maxProperties" in schema, path


def test_printer_columns_are_those_of_the_readme() -> None:
    crd = yaml.safe_load((CHART / "crds/communities.bapsang.dev.yaml").read_text())
    columns = [column["name"] for column in crd["spec"]["versions"][0]["additionalPrinterColumns"]]
    assert columns == ["Ready", "URL", "Base", "Burst", "Image", "Cost/mo", "Age"]


def test_sample_is_valid() -> None:
    namespace, sample = yaml.safe_load_all((ROOT / "manifests/samples/community.yaml").read_text())
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert validate(sample["spec"]) == []


def test_every_value_of_the_chart_has_a_schema_and_a_line_in_the_readme() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    readme = (CHART / "README.md").read_text()
    assert schema["additionalProperties"] is False
    assert set(values) == set(schema["properties"]) - {"global"}
    for name in values:
        assert f"`{name}" in readme, name


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    alerts = {alert["alert"] for alert in yaml.safe_load((CHART / "files/alerts.yaml").read_text())}
    runbooks = set(re.findall(r"(?m)^## (\w+)$", (ROOT / "docs/runbooks.md").read_text()))
    assert alerts == runbooks


def test_alerts_name_metrics_that_exist() -> None:
    metrics = Metrics()
    metrics.watch_communities(list)
    known = metrics.exposition().decode()
    for name in re.findall(r"bapsang_(?:operator|community)_\w+", (CHART / "files/alerts.yaml").read_text()):
        assert re.sub(r"_(count|bucket)$", "", name) in known, name


def test_no_module_has_more_than_300_lines_and_all_say_what_they_own() -> None:
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) < 300, path
        assert ast.get_docstring(ast.parse(text)), path
