"""docs/observability.md lists every metric and every log event of the code, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from unittest.mock import create_autospec

import pytest
import yaml
from prometheus_client import CollectorRegistry

from bapsang_api import mailing, photos
from bapsang_api.kit import metrics as api
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.database import PoolUsage
from bapsang_api.kit.db.replica import ReplicatedDatabase
from bapsang_api.kit.redis.budget import KINDS
from bapsang_api.mail import store, worker
from bapsang_api.readmodel.entry import Usage
from bapsang_api.uploads.queries import Backlog
from bapsang_api.uploads.worker import Tally
from bapsang_operator import metrics as operator
from bapsang_operator.community_metrics import Live

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/observability.md").read_text()
METRICS, LOGS = PAGE.partition("\n## Metrics\n")[2].split("\n## Logs\n")
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "critical": "critical",
}
Rows = dict[str, tuple[str, ...]]


def _rows(part: str, name: str) -> Rows:
    """Return the other cells of each row of a table, by the name in its first cell."""
    section = part.partition(f"\n### {name}\n")[2].partition("\n#")[0]
    rows = [[cell.strip() for cell in line.split(" |")] for line in section.splitlines() if line.startswith("| `")]
    names = [row[0].removeprefix("| ").strip("`") for row in rows]
    assert len(set(names)) == len(names)
    return {name: tuple(row[1:]) for name, row in zip(names, rows, strict=True)}


def _families(registry: CollectorRegistry) -> Rows:
    """Return type and labels of each metric that has a sample."""
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: (
            family.type,
            " ".join(f"`{label}`" for label in family.samples[0].labels if label != "le"),
        )
        for family in registry.collect()
        if family.name.startswith("bapsang_")
    }


def _of_the_api() -> CollectorRegistry:
    """Return the registry of a process with a replica, every series begun."""
    metrics, database = api.Metrics(), create_autospec(ReplicatedDatabase, instance=True)
    database.usage.return_value = [PoolUsage("writer", size=8, in_use=0, idle=0, waiting=0, refused=0)]
    database.replica_up, database.fallbacks = True, 0
    metrics.watch(database)
    metrics.watch_caches(lambda: {"posts": Usage(entries=0, bytes=0)})
    metrics.observe("GET", "/", 200, 5, 0.1)
    metrics.shed.labels("read")
    metrics.redis_bytes.labels("likes")
    metrics.redis_budget.labels("likes")
    metrics.task_running.labels("views")
    metrics.task_failures.labels("views")
    return metrics.registry


def _of_the_operator() -> CollectorRegistry:
    metrics = operator.Metrics()
    metrics.reconciles.labels("ok")
    metrics.requests.labels("get", "Pod", "200")
    metrics.writes.labels("patch", "Pod")
    metrics.unsettled.labels("Pod")
    metrics.watch_age.labels("Pod")
    condition = {"type": "Ready", "status": "True", "reason": "Serving"}
    metadata = {"namespace": "shop", "name": "c"}
    community = {"metadata": metadata, "status": {"conditions": [condition], "cost": {"monthlyUSD": "1.00"}}}
    metrics.watch_communities(lambda: [Live(community, {"status": {"lastSuccessfulTime": "2026-11-30T00:00:00Z"}})])
    return metrics.registry


def _of_mail() -> CollectorRegistry:
    registry, shown = CollectorRegistry(), mailing.Letters(worker.Tally(), SystemClock())
    shown.backlog = store.Backlog(0, None)
    registry.register(shown)
    return registry


def _of_media() -> CollectorRegistry:
    registry, shown = CollectorRegistry(), photos.Photos(Tally(), SystemClock())
    shown.backlog = Backlog(0, None)
    registry.register(shown)
    return registry


@pytest.mark.parametrize(
    ("name", "registry"),
    [("API", _of_the_api()), ("c-mail", _of_mail()), ("c-media", _of_media()), ("Operator", _of_the_operator())],
)
def test_metrics_are_those_of_the_registry(name: str, registry: CollectorRegistry) -> None:
    assert {metric: cells[:2] for metric, cells in _rows(METRICS, name).items()} == _families(registry)


def test_proposed_alerts_ask_for_metrics_that_exist() -> None:
    (rules,) = re.findall(r"```yaml\n(.*?)```", METRICS, re.DOTALL)
    for rule in yaml.safe_load(rules):
        assert set(re.findall(r"bapsang_\w+", rule["expr"])) <= {*_rows(METRICS, "API")}, rule


def test_each_kind_of_key_in_redis_is_explained() -> None:
    listed = _rows(METRICS, "Budgets of Redis")
    assert listed == {
        kind.name: (
            " ".join(f"`{key}`" for key in (*kind.names, *(f"{prefix}…" for prefix in kind.prefixes))),
            kind.holds,
            kind.grows,
            f"{kind.unit_bytes:,}",
            "" if kind.seconds is None else f"{kind.seconds:,}",
            f"{kind.share:.1%}",
            "",
        )
        for kind in KINDS
    }


@pytest.mark.parametrize(("name", "package"), [("API", "api/bapsang_api"), ("Operator", "operator/bapsang_operator")])
def test_log_events_are_those_of_the_code(name: str, package: str) -> None:
    written: dict[str, set[str]] = {}
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and (level := _level(node)):
                for event in _texts(node.args[0]):
                    written.setdefault(event.replace("%s", "…"), set()).add(level)
    assert {event: set(cells[0].split(", ")) for event, cells in _rows(LOGS, name).items()} == written


def _level(call: ast.Call) -> str:
    """Return the level at which a call logs, an empty string when it does not."""
    if isinstance(call.func, ast.Name):
        return "warning" if call.func.id == "after_commit" else ""
    if (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id in {"log", "_log"}
    ):
        return LEVELS.get(call.func.attr, "")
    return ""


def _texts(node: ast.expr) -> list[str]:
    if isinstance(node, ast.IfExp):
        return _texts(node.body) + _texts(node.orelse)
    return [str(node.value)] if isinstance(node, ast.Constant) else []
