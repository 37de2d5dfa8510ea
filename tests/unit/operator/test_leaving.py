"""Where pods go, what they leave behind on a node, and how they leave it: placement, budgets, graces, scheduled runs."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.build import job, placement
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component

from .test_build import EXTERNAL, MAIL, SHAPES, STORAGE, _shape
from .world import children, community, pod_templates

LOST_NODE = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
SPOT_NODES = {
    "EKS": {"eks.amazonaws.com/capacityType": "SPOT"},
    "Karpenter": {"karpenter.sh/capacity-type": "spot"},
    "GKE": {"cloud.google.com/gke-spot": "true"},
    "GKE, preemptible": {"cloud.google.com/gke-preemptible": "true"},
    "AKS": {"kubernetes.azure.com/scalesetpriority": "spot"},
    "one's own": {"team.example.com/pool": "cheap"},
}
ON_DEMAND_NODES: dict[str, dict[str, str]] = {
    "without labels": {},
    "EKS": {"eks.amazonaws.com/capacityType": "ON_DEMAND"},
    "Karpenter": {"karpenter.sh/capacity-type": "on-demand"},
    "AKS": {"kubernetes.azure.com/scalesetpriority": "regular"},
}
OWN: dict[str, Any] = {"api": {"spot": {"nodeSelector": SPOT_NODES["one's own"]}}}
STAYING = (
    *("Deployment c-api-base", "StatefulSet c-redis", "StatefulSet c-mysql"),
    *("CronJob c-like-sync", "CronJob c-image-collector", "Job c-migrate"),
)
STORES = ("StatefulSet c-redis", "StatefulSet c-mysql")
#: On spot nodes where there are any.
SPOT = ("Deployment c-api-burst", "Deployment c-mail", "Deployment c-media")
#: They write no file.
NO_FILES = ("Deployment c-mail", "Deployment c-media")
MAY_ALL_LEAVE = ("Deployment c-headroom", "Deployment c-mail", "Deployment c-media")


def _templates(**changes: Any) -> dict[str, Manifest]:
    found = pod_templates(children(community(storage=STORAGE, mail=MAIL, **changes)))
    return {"Job c-migrate" if name.startswith("Job ") else name: one for name, one in found.items()}


def _matches(expression: Manifest, labels: dict[str, str]) -> bool:
    """As the scheduler has it: NotIn is true of a node without the label."""
    is_in = labels.get(expression["key"]) in expression["values"]
    return is_in if expression["operator"] == "In" else not is_in


def _affinity(template: Manifest) -> Manifest:
    found: Manifest = template["spec"]["affinity"]["nodeAffinity"]
    return found


def _may_run(template: Manifest, labels: dict[str, str]) -> bool:
    required = _affinity(template).get("requiredDuringSchedulingIgnoredDuringExecution", {"nodeSelectorTerms": []})
    terms = required["nodeSelectorTerms"]
    return not terms or any(all(_matches(one, labels) for one in term["matchExpressions"]) for term in terms)


def _score(template: Manifest, labels: dict[str, str]) -> int:
    terms = _affinity(template).get("preferredDuringSchedulingIgnoredDuringExecution", [])
    return sum(
        term["weight"] for term in terms if all(_matches(one, labels) for one in term["preference"]["matchExpressions"])
    )


@pytest.mark.parametrize("workload", STAYING)
def test_what_must_stay_runs_on_no_spot_node_of_any_provider(workload: str) -> None:
    template = _templates(**OWN)[workload]
    assert not [provider for provider, labels in SPOT_NODES.items() if _may_run(template, labels)]
    assert all(_may_run(template, labels) for labels in ON_DEMAND_NODES.values())


@pytest.mark.parametrize("workload", SPOT)
def test_burst_prefers_the_spot_nodes_of_every_provider_and_may_run_on_others(workload: str) -> None:
    template = _templates(**OWN)[workload]
    assert {_score(template, labels) for labels in SPOT_NODES.values()} == {100}
    assert {_score(template, labels) for labels in ON_DEMAND_NODES.values()} == {0}
    assert all(_may_run(template, labels) for labels in (*SPOT_NODES.values(), *ON_DEMAND_NODES.values()))
    assert {one["key"] for one in template["spec"]["tolerations"]} == LOST_NODE | {
        *("bapsang.dev/capacity", "kubernetes.azure.com/scalesetpriority", "cloud.google.com/gke-spot")
    }


def test_without_spot_both_tiers_are_placed_alike() -> None:
    templates = _templates(api={"spot": {"enabled": False}})
    base, *others = (templates[name]["spec"] for name in ("Deployment c-api-base", *SPOT))
    for one in others:
        assert base["affinity"] == one["affinity"]
        assert base["tolerations"] == one["tolerations"]
    assert {one["key"] for one in base["tolerations"]} == LOST_NODE


def test_every_pod_runs_on_the_architecture_that_the_spec_names() -> None:
    for name, template in _templates(api={"arch": "arm64"}).items():
        for labels in (*ON_DEMAND_NODES.values(), *(SPOT_NODES.values() if name in SPOT else [])):
            assert _may_run(template, labels | {"kubernetes.io/arch": "arm64"}), name
            assert not _may_run(template, labels | {"kubernetes.io/arch": "amd64"}), name


def test_pods_of_a_lost_node_are_made_again_soon_and_those_with_a_state_are_not_hurried() -> None:
    templates = _templates()
    for name in ("Deployment c-api-base", *SPOT):
        waits = [one for one in templates[name]["spec"]["tolerations"] if one["key"] in LOST_NODE]
        assert {(one["effect"], one["tolerationSeconds"]) for one in waits} == {("NoExecute", 30)}
    for store in STORES:
        assert "tolerations" not in templates[store]["spec"]


def test_each_tier_and_each_revision_is_spread_by_itself() -> None:
    shapes = ("head room", "with storage", "with mail")
    templates = pod_templates([child for name in shapes for child in children(_shape(name))])
    own = {
        "Deployment c-api-base": {names.LABEL_COMPONENT: Component.API, names.LABEL_TIER: "base"},
        "Deployment c-api-burst": {names.LABEL_COMPONENT: Component.API, names.LABEL_TIER: "burst"},
        "Deployment c-headroom": {names.LABEL_COMPONENT: Component.HEADROOM},
        "Deployment c-mail": {names.LABEL_COMPONENT: Component.MAIL},
        "Deployment c-media": {names.LABEL_COMPONENT: Component.MEDIA},
    }
    for name, labels in own.items():
        constraints = templates[name]["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in constraints] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
        for one in constraints:
            selected = one["labelSelector"]["matchLabels"]
            assert selected == {names.LABEL_COMMUNITY: "c", **labels}
            assert selected.items() <= templates[name]["metadata"]["labels"].items()
            # Two rollouts of one tier differ in this label of their pods alone.
            assert one["matchLabelKeys"] == ["pod-template-hash"]


def _budgets(**changes: Any) -> dict[str, Manifest]:
    found = children(community(**changes))
    return {one.key.name: one.manifest["spec"] for one in found if one.key.kind == "PodDisruptionBudget"}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_pod_has_two_budgets_and_each_that_serves_has_one(shape: str) -> None:
    """The eviction of a pod with two budgets is refused for ever. Nobody waits for a placeholder or a worker."""
    found = children(_shape(shape))
    selectors = [
        one.manifest["spec"]["selector"]["matchLabels"] for one in found if one.key.kind == "PodDisruptionBudget"
    ]
    for name, template in pod_templates(found).items():
        matching = [one for one in selectors if one.items() <= template["metadata"]["labels"].items()]
        serves = name.startswith(("Deployment", "StatefulSet")) and name not in MAY_ALL_LEAVE
        assert len(matching) == int(serves), name


def test_budgets_let_base_go_one_by_one_and_a_reclaimed_spot_node_at_once() -> None:
    found = _budgets()
    assert {name: one["maxUnavailable"] for name, one in found.items()} == {
        **{"c-api": 1, "c-api-burst": "100%"},
        **{"c-redis": 1, "c-mysql": 1},
    }
    assert {one["unhealthyPodEvictionPolicy"] for one in found.values()} == {"AlwaysAllow"}
    assert _budgets(api={"spot": {"enabled": False}})["c-api-burst"]["maxUnavailable"] == "25%"
    assert set(_budgets(**EXTERNAL)) == {"c-api", "c-api-burst"}


def test_autoscalers_may_move_the_api_and_its_jobs_and_leave_the_stores_alone() -> None:
    """Cluster Autoscaler removes no node with a pod that has files on its disk, or that is annotated so."""
    for name, template in _templates().items():
        volumes = [one["emptyDir"] for one in template["spec"]["volumes"] if "emptyDir" in one]
        annotations = template["metadata"].get("annotations", {})
        if name in STORES:
            assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
            assert annotations["karpenter.sh/do-not-disrupt"] == "true"
        else:
            assert [one.get("medium") for one in volumes] == (
                [] if name in ("Deployment c-media", "Deployment c-mail") else ["Memory"]
            ), name
            assert not [key for key in annotations if "evict" in key or "disrupt" in key]


def test_files_in_memory_leave_a_container_its_memory() -> None:
    """They count against its limit: the smallest one that a default gives keeps nine tenths."""
    (size,) = {
        one["emptyDir"]["sizeLimit"]
        for name, template in _templates().items()
        for one in template["spec"]["volumes"]
        if one.get("emptyDir", {}).get("medium") == "Memory"
    }
    assert size == "16Mi"
    limits = [
        container["resources"]["limits"]["memory"]
        for name, template in _templates().items()
        if name not in STORES
        for container in template["spec"]["containers"]
    ]
    assert all(int(one.removesuffix("Mi")) >= 10 * 16 for one in limits)


def test_stores_get_a_minute_to_end_and_nothing_else_outlasts_the_api() -> None:
    """A namespace that is deleted waits for half the longest grace of the pods that are still there at the second look."""
    graces = {
        name: template["spec"]["terminationGracePeriodSeconds"]
        for name, template in pod_templates(children(_shape("head room"))).items()
    }
    stores = {name: graces.pop(name) for name in STORES}
    assert set(stores.values()) == {60}
    assert max(graces.values()) == graces["Deployment c-api-base"], graces


CRON_JOBS = ("c-like-sync", "c-image-collector")


def _cron(name: str, **changes: Any) -> Manifest:
    found = children(community(storage=STORAGE, **changes))
    spec: Manifest = next(one.manifest["spec"] for one in found if (one.key.kind, one.key.name) == ("CronJob", name))
    return spec


@pytest.mark.parametrize("name", CRON_JOBS)
def test_a_drained_node_is_no_failed_run(name: str) -> None:
    run = _cron(name)["jobTemplate"]["spec"]
    assert run["backoffLimit"] == 0
    assert run["podFailurePolicy"] == {
        "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
    }
    assert run["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("* * * * *", 60), ("*/2 * * * *", 120), ("*/30 * * * *", 300), ("5 * * * *", 300), ("@hourly", 300)],
)
def test_a_like_sync_run_has_ended_when_the_next_is_due(schedule: str, seconds: int) -> None:
    run = _cron("c-like-sync", likeSync={"schedule": schedule})["jobTemplate"]["spec"]
    (container,) = run["template"]["spec"]["containers"]
    deadline = int(container["args"][container["args"].index("--deadline") + 1])
    waited = int(container["command"][-1])
    assert waited + deadline + 15 == seconds <= run["activeDeadlineSeconds"]


def test_scheduled_runs_of_many_communities_are_spread_and_each_keeps_its_second() -> None:
    def second(name: str, namespace: str = "ns") -> int:
        made = community()
        object.__setattr__(made, "name", name)
        object.__setattr__(made, "namespace", namespace)
        return job.offset(made)

    seconds = [second(f"community-{number}") for number in range(200)]
    assert set(seconds) == set(range(job.SPREAD_SECONDS))
    assert max(seconds.count(one) for one in set(seconds)) <= 20
    assert seconds == [second(f"community-{number}") for number in range(200)]
    assert len({second("c", f"team-{number}") for number in range(20)}) > 5
    for name in CRON_JOBS:
        (container,) = _cron(name)["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        assert container["command"] == [*job.WAIT, str(job.offset(community()))]


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment in which `bapsang-api` prints its arguments, one a line."""
    script = tmp_path / "bapsang-api"
    script.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    script.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_run_gets_its_arguments_after_the_wait(program: dict[str, str]) -> None:
    arguments = ["like-sync", "--batch-size", "5 00", ""]
    ended = subprocess.run([*job.WAIT, "0", *arguments], env=program, capture_output=True, text=True, timeout=20)
    assert (ended.returncode, ended.stdout.split("\n")[:-1], ended.stderr) == (0, arguments, "")


def test_run_that_waits_ends_at_once_when_it_is_told_to(program: dict[str, str]) -> None:
    """143 is the exit of the trap: without it, the first process of a container does not hear SIGTERM."""
    waiting = subprocess.Popen([*job.WAIT, "60", "like-sync"], env=program, stdout=subprocess.PIPE, process_group=0)
    try:
        eventually(lambda: _children(waiting.pid), what="it waits")
        waiting.send_signal(signal.SIGTERM)
        assert waiting.wait(20) == 143
    finally:
        os.killpg(waiting.pid, signal.SIGKILL)
    assert waiting.communicate(timeout=20)[0] == b"", "the program was not started"


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_labels_of_spot_nodes_are_the_known_ones_and_those_of_the_spec() -> None:
    assert dict(placement.spot_labels(community(**OWN))) == {
        key: value for labels in SPOT_NODES.values() for key, value in labels.items()
    }
