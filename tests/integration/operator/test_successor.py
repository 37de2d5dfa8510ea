"""A process that takes over while a change waits knows what was applied before it: it is recorded on the objects."""

from __future__ import annotations

from typing import Any

from tests.waiting import eventually

from .namespace import Namespace
from .process import Operator

NEW = "bapsang/api:0.2.0"


def test_successor_guards_what_runs_and_puts_it_to_sleep_while_a_migration_has_failed(
    namespace: Namespace, operator: Operator
) -> None:
    namespace.community()
    first = namespace.bring_up()
    namespace.patch("Community", "c", {"spec": {"image": NEW}})
    namespace.finish_job(namespace.migration(other_than=first), succeeded=False)
    namespace.wait_for("Degraded", "True", "MigrationFailed")
    operator.restart()

    def spec(kind: str, name: str) -> Any:
        return (namespace.get(kind, name) or {})["spec"]

    before = {name: spec("Deployment", name)["template"]["spec"] for name in ("c-api-base", "c-api-burst")}
    for name in before:
        edit = {"template": {"spec": {"enableServiceLinks": True, "automountServiceAccountToken": True}}}
        namespace.patch("Deployment", name, {"spec": edit})
    namespace.patch("CronJob", "c-like-sync", {"spec": {"concurrencyPolicy": "Allow"}})
    for name, pod in before.items():
        eventually(lambda name=name, pod=pod: spec("Deployment", name)["template"]["spec"] == pod, 60, f"{name} back")
        assert pod["containers"][0]["image"] == "bapsang/api:0.1.0"
    eventually(lambda: spec("CronJob", "c-like-sync")["concurrencyPolicy"] == "Forbid", 60)

    namespace.patch("Community", "c", {"spec": {"hibernate": True}})
    for name in before:
        eventually(lambda name=name: spec("Deployment", name)["replicas"] == 0, 60, f"{name} asleep")
    eventually(lambda: spec("CronJob", "c-like-sync")["suspend"], 60)
    assert namespace.condition("Degraded")["reason"] == "MigrationFailed"
