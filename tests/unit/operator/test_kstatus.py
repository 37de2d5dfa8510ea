"""Reconciling and Stalled: there while they are True, never both, and gone when everything is as specified."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from bapsang_operator.conditions import status
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Reason
from bapsang_operator.planning.plan import Plan
from bapsang_operator.problem import Problem
from bapsang_operator.problems import failures

from .test_conditions import UP, stages
from .world import NOW, condition_of, status_of

STAGES = dict(stages())
PENDING = Plan(terminating=[Key("Service", "ns", "c-api")])


def _told(found: Manifest) -> list[tuple[str, str, str]]:
    """Return type, status and reason of those of the two conditions that are there."""
    return [
        (one["type"], one["status"], one["reason"])
        for one in found["conditions"]
        if one["type"] in {"Reconciling", "Stalled"}
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_they_follow_progressing(stage: str) -> None:
    progressing = condition_of(STAGES[stage], "Progressing")
    wanted = {
        "True": [("Reconciling", "True", progressing["reason"])],
        "Blocked": [("Stalled", "True", condition_of(STAGES[stage], "Degraded")["reason"])],
        "HostTaken": [("Stalled", "True", "HostTaken")],
    }
    key = progressing["status"] if progressing["status"] == "True" else progressing["reason"]
    assert _told(STAGES[stage]) == wanted.get(key, [])


def test_what_is_tried_again_by_itself_is_no_reason_to_give_up() -> None:
    failed, broken = Problem(Reason.CHILD_FAILED, "A webhook is down."), Problem(Reason.MIGRATION_FAILED, "It failed.")
    assert _told(status_of(UP, found=[failed])) == [("Reconciling", "True", "ChildFailed")]
    assert _told(status_of(UP, found=[failed, broken])) == [("Stalled", "True", "MigrationFailed")]


def test_a_rollout_that_waits_says_what_keeps_it() -> None:
    found = status_of(UP, found=[Problem(Reason.IMAGE_PULL_FAILED, "It cannot be pulled.")], planned=PENDING)
    assert _told(found) == [("Reconciling", "True", "WaitingForDeletion")]
    assert condition_of(found, "Reconciling")["message"].endswith(" It cannot be pulled.")


def test_a_pause_stalls_only_what_would_be_changed() -> None:
    cluster = copy.deepcopy(UP)
    cluster.community = replace(cluster.community, paused="jane")
    assert _told(status_of(cluster)) == []
    assert _told(status_of(cluster, planned=PENDING)) == [("Stalled", "True", "ByAnnotation")]


def test_a_spec_that_is_refused_ends_reconciling() -> None:
    refusal = Problem(Reason.INVALID_SPEC, "spec.host: must be a DNS name")
    assert _told(STAGES["migrating"])[0][0] == "Reconciling"
    assert _told(status.invalid(2, [refusal], STAGES["migrating"], NOW)) == [("Stalled", "True", "InvalidSpec")]
    raised = status.internal_error(2, failures.of_exception(ValueError()), STAGES["migrating"], NOW)
    assert _told(raised) == [("Stalled", "True", "InternalError")]
    # What comes next is whole again.
    assert _told(status_of(UP, raised)) == []
