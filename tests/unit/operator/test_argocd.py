"""What Argo CD makes of a Community at each of its stages."""

from __future__ import annotations

import pytest
from tests.lua import health

from bapsang_operator.conditions import status
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Reason
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures

from .test_conditions import UP, stages
from .world import NOW, Cluster, community, condition_of, status_of

STAGES = dict(stages())
WANTED = {
    "created": "Progressing",
    "first children": "Progressing",
    "migrating": "Progressing",
    "migration failed": "Degraded",
    "up": "Healthy",
    "likes not synced": "Healthy",
    "c-redis down": "Degraded",
    "c-api-base down": "Degraded",
    "a child vanishes": "Progressing",
    "suspended": "Healthy",
    "falling asleep": "Progressing",
    "asleep": "Suspended",
    "paused": "Suspended",
    "external Redis": "Healthy",
    "new image, external Redis": "Progressing",
    "host taken": "Degraded",
    "up, in one of the namespaces that are watched": "Healthy",
    "no URL of a mail server": "Progressing",
    "mail": "Healthy",
    "letters wait": "Healthy",
    "letters sleep": "Progressing",
    "Redis down, new image": "Progressing",
    "base rolls out": "Progressing",
    "burst is changed while base rolls out": "Progressing",
    "base alone rolls out": "Progressing",
    "burst rolls out": "Progressing",
    "invalid": "Degraded",
}


def _community(told: Manifest | None, generation: int = 1) -> Manifest:
    found: Manifest = {"metadata": {"name": "c", "generation": generation}, "spec": {}}
    return found if told is None else {**found, "status": told}


@pytest.mark.parametrize("stage", STAGES)
def test_health_follows_the_conditions(stage: str) -> None:
    told = STAGES[stage]
    wanted = WANTED[stage]
    assert health(_community(told, told["observedGeneration"]))[0] == wanted


def test_a_generation_that_was_not_acted_on_is_progressing() -> None:
    for told in (None, {"observedGeneration": -1}, STAGES["up"], STAGES["migration failed"]):
        assert health(_community(told, generation=2))[0] == "Progressing"


def test_a_generation_that_the_operator_cannot_act_on_is_degraded() -> None:
    told = status.internal_error(2, failures.of_exception(ValueError()), STAGES["up"], NOW)
    assert told["observedGeneration"] == 1
    assert health(_community(told, generation=2)) == ("Degraded", condition_of(told, "Stalled")["message"])


def test_a_problem_that_stops_nothing_is_degraded() -> None:
    told = status_of(UP, found=[Problem(Reason.LIKE_SYNC_FAILED, "Likes gather.")])
    assert health(_community(told)) == ("Degraded", "Likes gather.")


def test_route_that_nobody_has_taken_yet_is_progressing_and_one_that_is_refused_degraded() -> None:
    cluster = Cluster(community(gateway={"parentRefs": [{"name": "public"}]}))
    cluster.bring_up()
    assert health(_community(status_of(cluster)))[0] == "Healthy"
    cluster.at("HTTPRoute", "c-api")["status"] = {}
    told = status_of(cluster, {"image": "before"})
    assert health(_community(told)) == ("Progressing", condition_of(told, "Ready")["message"])
    refused = status_of(cluster, {"image": "before"}, [Problem(Reason.ROUTE_NOT_ACCEPTED, "Not allowed.")])
    assert health(_community(refused)) == ("Degraded", "Not allowed.")
