"""Every condition at every stage of a Community, word for word."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_operator.build.child import Child
from bapsang_operator.conditions import costing, events, status
from bapsang_operator.conditions.compute import compute
from bapsang_operator.conditions.observation import Observation
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import ConditionType, Reason
from bapsang_operator.planning import progress
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem
from bapsang_operator.resource import SecretRef

from .test_build import MAIL
from .world import NOW, Cluster, children, community, condition_of, migration_key, reasons_of, status_of

EXTERNAL: dict[str, Any] = {"redis": {"mode": "external", "url": "redis://a:6379"}}
UP = Cluster(community())
UP.bring_up()


def stages() -> Iterator[tuple[str, Manifest]]:
    """Yield a status for each thing that a Community goes through."""
    cluster = Cluster(community())
    yield "created", status_of(cluster)
    made = cluster.step()
    yield "first children", status_of(cluster, planned=made)
    cluster.settle()
    made = cluster.step()
    yield "migrating", status_of(cluster, planned=made)
    cluster.end_job(migration_key(cluster.community), "Failed")
    yield "migration failed", status_of(cluster, found=[Problem(Reason.MIGRATION_FAILED, "It failed.")])
    up = status_of(UP, like_sync=True)
    yield "up", up
    yield "likes not synced", status_of(UP, up, like_sync=False)
    down = copy.deepcopy(UP)
    for kind, name in (("StatefulSet", "c-redis"), ("Deployment", "c-api-base")):
        down.at(kind, name)["status"] = {"observedGeneration": 1} if kind == "StatefulSet" else {}
        yield f"{name} down", status_of(down, up)
        down = copy.deepcopy(UP)
    terminating = Plan(terminating=[Key("Service", "ns", "c-api")])
    yield "a child vanishes", status_of(UP, up, planned=terminating)
    yield "suspended", status_of(_with(likeSync={"suspend": True}), up)
    asleep = _with(hibernate=True)
    yield "falling asleep", status_of(asleep, up)
    for name in ("c-api-base", "c-api-burst"):
        found = asleep.at("Deployment", name)
        found["spec"]["replicas"] = 0
        found["status"] = {"observedGeneration": found["metadata"]["generation"]}
    yield "asleep", status_of(asleep, up)
    paused = copy.deepcopy(UP)
    paused.community = replace(paused.community, paused="jane")
    yield "paused", status_of(paused, up)
    external = Cluster(community(**EXTERNAL))
    external.bring_up()
    yield "external Redis", status_of(external)
    external.community = community(image="bapsang/api:0.2.0", **EXTERNAL)
    yield "new image, external Redis", status_of(external, status_of(external), planned=external.step())
    yield "host taken", status_of(UP, up, [Problem(Reason.HOST_TAKEN, "Somebody else has it.")])
    yield "up, in one of the namespaces that are watched", status_of(UP, up, sees_all=False)
    yield from _letters()
    yield from _rollout(up)
    yield "invalid", status.invalid(7, [Problem(Reason.INVALID_SPEC, "spec.host: must be a DNS name")], up, NOW)


def _letters() -> Iterator[tuple[str, Manifest]]:
    """Mail that has no credentials, is sent, is not, and sleeps."""
    cluster = Cluster(community(mail=MAIL))
    cluster.bring_up()
    up = status_of(cluster, like_sync=True)
    lacking = [replace(one, missing=(SecretRef("mail", "url", "spec.mail.secretRef"),)) for one in _of_mail(cluster)]
    yield "no URL of a mail server", status_of(cluster, up, planned=Plan(held=lacking))
    yield "mail", up
    late = copy.deepcopy(cluster)
    late.at("Deployment", "c-mail")["status"]["availableReplicas"] = 0
    yield "letters wait", status_of(late, up)
    late.community = community(mail=MAIL, hibernate=True)
    yield "letters sleep", status_of(late, up)


def _of_mail(cluster: Cluster) -> list[Child]:
    return [child for child in children(cluster.community) if child.key == Key("Deployment", "ns", "c-mail")]


def _rollout(up: Manifest) -> Iterator[tuple[str, Manifest]]:
    """A new image, from its migration to its last pod, with a Redis that stumbles on the way."""
    cluster = _with(image="bapsang/api:0.2.0")
    cluster.step()
    told = status_of(cluster, up)
    cluster.end_job(migration_key(cluster.community))
    redis = copy.deepcopy(cluster)
    redis.at("StatefulSet", "c-redis")["status"] = {}
    yield "Redis down, new image", status_of(redis, told)
    told = status_of(cluster, told, planned=cluster.step())
    yield "base rolls out", told
    waits = copy.deepcopy(cluster)
    waits.community = community(image="bapsang/api:0.2.0", api={"burst": {"resources": {"requests": {"cpu": "1"}}}})
    yield "burst is changed while base rolls out", status_of(waits, told)
    only_base = _with(api={"base": {"resources": {"requests": {"cpu": "1"}}}})
    yield "base alone rolls out", status_of(only_base, up, planned=only_base.step())
    cluster.settle()
    told = status_of(cluster, told, planned=cluster.step())
    yield "burst rolls out", told


def _with(**changes: Any) -> Cluster:
    cluster = copy.deepcopy(UP)
    cluster.community = community(**changes)
    return cluster


def test_every_condition_reads_as_in_the_golden_file() -> None:
    """BAPSANG_TEST_GOLDEN=write renews the file; look at its difference before you commit it."""
    found = {
        stage: {one["type"]: f"{one['status']} {one['reason']}: {one['message']}" for one in told["conditions"]}
        for stage, told in stages()
    }
    text = yaml.safe_dump(found, sort_keys=False, allow_unicode=True, width=400)
    golden = Path(__file__).parent / "golden" / "conditions.yaml"
    if os.environ.get("BAPSANG_TEST_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


def test_events_warn_of_trouble_and_of_nothing_else() -> None:
    told = [{}, *dict(stages()).values()]
    opened = copy.deepcopy(told[-1])
    condition_of(opened, "Prewarmed")["status"] = "True"
    told.append(opened)
    found = {(event.type, str(event.reason)) for old in told for new in told for event in events.transitions(old, new)}
    assert {reason for kind, reason in found if kind == "Warning"} == {
        *("NotReady", "MigrationFailed", "InvalidSpec", "HostTaken"),
    }
    assert {reason for kind, reason in found if kind == "Normal"} == {
        *("Ready", "Hibernated", "RolloutStarted", "RolloutCompleted", "MigrationSucceeded", "Paused", "Resumed"),
        *("Recovered", "WindowOpened", "WindowClosed"),
    }


def test_events_tell_of_sleep_windows_and_pauses() -> None:
    found = dict(stages())
    assert reasons_of(found["falling asleep"], found["asleep"])[0] == "Hibernated"
    assert reasons_of(found["up"], found["paused"]) == ["Paused"]
    assert reasons_of(found["paused"], found["up"]) == ["Resumed"]
    opened = copy.deepcopy(found["up"])
    condition_of(opened, "Prewarmed")["status"] = "True"
    assert reasons_of(found["up"], opened) == ["WindowOpened"]
    assert reasons_of(opened, found["up"]) == ["WindowClosed"]


@pytest.mark.parametrize("kind", list(ConditionType))
def test_each_condition_has_a_module_that_begins_with_its_name(kind: ConditionType) -> None:
    module = import_module(f"bapsang_operator.conditions.{kind.name.lower()}")
    assert str(module.__doc__).startswith(f"{kind.value}: ")
    assert callable(module.condition)


def test_conditions_are_computed_in_the_order_in_which_they_are_listed() -> None:
    wanted = community(estate={}, mail=MAIL)
    assert wanted.estate is not None
    cost = costing.assess(wanted, wanted.estate, NOW.date())
    rollout = progress.observe(wanted, children(wanted), {})
    found = list(compute(Observation(wanted, rollout, Plan(), [], None), {}, cost))
    assert found == [kind for kind in ConditionType if kind is not ConditionType.STALLED]
