"""Which runs only wait for a container that their Job does not name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from bapsang_operator.manifest import Key, Manifest, key_of
from bapsang_operator.planning import sidecars
from bapsang_operator.planning.progress import Live

from .world import Cluster, community, migration_key

UP = Cluster(community())
UP.bring_up()
RUNNING: Manifest = {"running": {}}
DONE: Manifest = {"terminated": {"exitCode": 0}}
FAILED: Manifest = {"terminated": {"exitCode": 1}}


def _live(states: dict[str, Manifest], *, containers: tuple[str, ...] = ("migrate",), **changes: Any) -> Live:
    """Return a migration Job that names `containers`, and its pod whose containers have `states`."""
    job = copy.deepcopy(UP.live[migration_key(UP.community)])
    job["spec"]["template"]["spec"]["containers"] = [{"name": name} for name in containers]
    pod: Manifest = {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "ns", "ownerReferences": [{"uid": job["metadata"]["uid"]}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": name, "state": state} for name, state in states.items()],
        },
    }
    for path, value in changes.items():
        pod[path] |= value
    return {key_of(job): job, Key("Pod", "ns", "p"): pod}


def test_run_that_has_succeeded_beside_a_sidecar_is_finished() -> None:
    live = _live({"migrate": DONE, "proxy": RUNNING})
    (found,) = sidecars.finished(live)
    assert (found.job, found.pod) == tuple(live.values())


@pytest.mark.parametrize(
    "live",
    [
        pytest.param(_live({"migrate": RUNNING, "proxy": RUNNING}), id="works"),
        pytest.param(_live({"migrate": FAILED, "proxy": RUNNING}), id="has failed: its log is to be read"),
        pytest.param(_live({"proxy": RUNNING}), id="nothing is known of it"),
        pytest.param(_live({"migrate": {"waiting": {}}, "proxy": RUNNING}), id="has not begun"),
        pytest.param(_live({"migrate": DONE, "proxy": DONE}), id="ends by itself"),
        pytest.param(_live({"migrate": DONE}), id="has no sidecar, or one that the kubelet ends"),
        pytest.param(_live({"migrate": DONE, "proxy": RUNNING}, status={"phase": "Succeeded"}), id="has ended"),
        pytest.param(_live({"migrate": DONE, "proxy": RUNNING}, metadata={"deletionTimestamp": "x"}), id="is ended"),
        pytest.param(
            _live({"migrate": DONE, "upload": RUNNING, "proxy": RUNNING}, containers=("migrate", "upload")),
            id="a container of spec.jobs.podTemplate works on",
        ),
        pytest.param(_live({"migrate": DONE, "proxy": RUNNING}, metadata={"ownerReferences": []}), id="is no Job's"),
    ],
)
def test_any_other_run_is_left_alone(live: Live) -> None:
    assert sidecars.finished(live) == []


def test_job_of_somebody_else_is_left_alone() -> None:
    live = _live({"migrate": DONE, "proxy": RUNNING})
    (job, _) = live.values()
    job["metadata"]["labels"] = {"app": "theirs"}
    assert sidecars.finished(live) == []
