"""What a `podTemplate` may change in the pods, and what stays the operator's."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import validate

from .template_rows import FULL
from .world import children, community, pod_templates, resource

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
EXTRA: Manifest = {"name": "extra", "image": "proxy:1"}


def _pods(part: str, spec: Manifest, **more: Any) -> dict[str, Manifest]:
    found = pod_templates(children(community(**{part: {"podTemplate": {"spec": spec}, **more}})))
    return {name.replace("Deployment ", "").partition("-migrate")[0]: one["spec"] for name, one in found.items()}


def test_spec_with_every_field_is_valid_and_every_container_stays_restricted() -> None:
    assert validate(resource(**FULL)["spec"]) == []
    templates = pod_templates(children(community(**FULL)))
    assert len(templates) == 9
    for name, template in templates.items():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*spec["containers"], *spec.get("initContainers", ())]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, (name, container["name"])
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_containers_and_tolerations_of_the_operator_come_first_and_stay() -> None:
    given = {"key": "pool", "operator": "Equal", "value": "food"}
    plain, found = _pods("api", {})["c-api-burst"], _pods("api", {"containers": [EXTRA], "tolerations": [given]})
    pods = found["c-api-burst"]
    assert [one["name"] for one in pods["containers"]] == ["api", "extra"]
    assert pods["containers"][0] == plain["containers"][0]
    assert pods["tolerations"] == [*plain["tolerations"], given]


def test_node_affinity_of_a_user_counts_beside_never_spot() -> None:
    required, preferred = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))
    terms = [{"matchExpressions": [{"key": key, "operator": "Exists"}]} for key in ("a", "b")]
    wish = {"weight": 5, "preference": terms[0]}
    affinity = {"nodeAffinity": {required: {"nodeSelectorTerms": terms}, preferred: [wish]}}
    plain, found = _pods("api", {}), _pods("api", {"affinity": affinity})
    never = plain["c-api-base"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"][0]["matchExpressions"]
    both = [{"matchExpressions": [*never, *term["matchExpressions"]]} for term in terms]
    assert found["c-api-base"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"] == both
    ours = plain["c-api-burst"]["affinity"]["nodeAffinity"][preferred]
    assert found["c-api-burst"]["affinity"]["nodeAffinity"][preferred] == [*ours, wish]


def test_job_gets_its_own_container_and_every_additional_one() -> None:
    variable = {"name": "A", "value": "1"}
    found = _pods("jobs", {"containers": [{"name": "like-sync", "env": [variable]}, EXTRA]})
    migrate, sync = found["Job c"]["containers"], found["CronJob c-like-sync"]["containers"]
    assert [one["name"] for one in migrate] == ["migrate", "extra"]
    assert [one["name"] for one in sync] == ["like-sync", "extra"]
    assert variable in sync[0]["env"]
    assert variable not in migrate[0]["env"]


def test_another_template_of_the_jobs_asks_for_another_migration() -> None:
    def name(**spec: Any) -> str:
        return next(child.key.name for child in children(community(**spec)) if child.key.kind == "Job")

    secrets = [{"name": "registry"}]
    assert name() == name(jobs={}) != name(jobs={"podTemplate": {"spec": {"imagePullSecrets": secrets}}})
    assert name() == name(api={"podTemplate": {"spec": {"imagePullSecrets": secrets}}})


def test_placeholders_follow_the_api_to_its_nodes_and_take_nothing_else() -> None:
    spec = {"nodeSelector": {"pool": "food"}, "priorityClassName": "high", "containers": [EXTRA], "volumes": []}
    spec["terminationGracePeriodSeconds"] = 100
    found = _pods("api", spec, burst={"headroom": 1})["c-headroom"]
    assert found["nodeSelector"] == {"pool": "food"}
    assert found["priorityClassName"] == "bapsang-headroom"
    assert found["terminationGracePeriodSeconds"] == 1
    assert [one["name"] for one in found["containers"]] == ["placeholder"]


def _api(**spec: Any) -> Manifest:
    return {"api": {"podTemplate": {"spec": spec}}}


def _mount(part: str, container: str, path: str, field: str = "containers") -> Manifest:
    mounts = [{"name": "v", "mountPath": path}]
    return {part: {"podTemplate": {"spec": {field: [{"name": container, "volumeMounts": mounts}]}}}}


REFUSED: dict[str, tuple[Manifest, str]] = {
    "image of the API": (_api(containers=[{"name": "api", "image": "a"}]), "api.podTemplate.spec.containers[0]"),
    "command of the API": (_api(containers=[{"name": "api", "command": ["a"]}]), "api.podTemplate.spec.containers[0]"),
    "sidecar without an image": (_api(containers=[{"name": "x"}]), "api.podTemplate.spec.containers[0].image"),
    "variable of the operator": (
        _api(containers=[{"name": "api", "env": [{"name": "BAPSANG_ISSUER", "value": "x"}]}]),
        "api.podTemplate.spec.containers[0].env[0].name",
    ),
    "label that selects": (
        {"api": {"podTemplate": {"metadata": {"labels": {"app.kubernetes.io/name": "x"}}}}},
        "api.podTemplate.metadata.labels",
    ),
    "annotation that says what secrets pods have": (
        {"redis": {"podTemplate": {"metadata": {"annotations": {"bapsang.dev/secrets-checksum": "x"}}}}},
        "redis.podTemplate.metadata.annotations",
    ),
    "port twice": (
        _api(
            containers=[{"name": "x", "image": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "name": "b"}]}]
        ),
        "api.podTemplate.spec.containers[0].ports[1]",
    ),
    "volume of the host": (_api(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), "api.podTemplate.spec.volumes[0]"),
    "volume of the operator": (
        {"redis": {"podTemplate": {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}}},
        "redis.podTemplate.spec.volumes[0].name",
    ),
    "user root": (_api(securityContext={"runAsUser": 0}), "api.podTemplate.spec.securityContext.runAsUser"),
    "grace below the drain": (
        _api(terminationGracePeriodSeconds=51),
        "api.podTemplate.spec.terminationGracePeriodSeconds",
    ),
    "term of no condition": (
        _api(affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": []}}}),
        f"api.podTemplate.spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms",
    ),
    "condition without values": (
        _api(
            affinity={
                "nodeAffinity": {
                    REQUIRED: {"nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In"}]}]}
                }
            }
        ),
        f"api.podTemplate.spec.affinity.nodeAffinity.{REQUIRED}.nodeSelectorTerms[0].matchExpressions[0].values",
    ),
    "toleration without a key": (_api(tolerations=[{"value": "x"}]), "api.podTemplate.spec.tolerations[0]"),
    "seconds without an end": (
        _api(tolerations=[{"key": "x", "operator": "Exists", "tolerationSeconds": 3}]),
        "api.podTemplate.spec.tolerations[0]",
    ),
    **{
        f"mount {path} in {container}": (
            _mount(part, container, path, field),
            f"{part}.podTemplate.spec.{field}[0].volumeMounts",
        )
        for part, container, path, field in (
            ("redis", "redis", "/data", "containers"),
            ("redis", "redis", "/data/appendonlydir", "containers"),
            ("redis", "redis", "/etc", "containers"),
            ("database", "mysql", "/var", "containers"),
            ("database", "initialise", "/var/lib/mysql", "initContainers"),
            ("jobs", "migrate", "/tmp/x", "containers"),
        )
    },
    "mount with a way up": (
        _mount("api", "api", "/a/../tmp"),
        "api.podTemplate.spec.containers[0].volumeMounts[0].mountPath",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_would_break_the_pods_is_refused_by_field(case: str) -> None:
    changes, field = REFUSED[case]
    assert [one.field for one in validate(resource(**changes)["spec"])] == [f"spec.{field}"]


def _egress(*rules: Manifest) -> Manifest:
    return {"networkPolicy": {"extraEgress": list(rules)}}


#: Rules that a NetworkPolicy must not have, each with the field that is refused.
NO_EGRESS: dict[str, tuple[Manifest, str]] = {
    "nothing": (_egress({}), ""),
    "empty lists": (_egress({"ports": [], "to": []}), ""),
    "port 0": (_egress({"ports": [{"port": 0}]}), ".ports[0].port"),
    "range backwards": (_egress({"ports": [{"port": 9, "endPort": 8}]}), ".ports[0].endPort"),
    "peer of nothing": (_egress({"to": [{}]}), ".to[0]"),
    "addresses and pods": (_egress({"to": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}), ".to[0]"),
    "address without a length": (_egress({"to": [{"ipBlock": {"cidr": "10.0.0.1"}}]}), ".to[0].ipBlock.cidr"),
}


@pytest.mark.parametrize("case", NO_EGRESS)
def test_rule_that_opens_everything_or_nothing_is_refused(case: str) -> None:
    changes, field = NO_EGRESS[case]
    assert [one.field for one in validate(resource(**changes)["spec"])] == [f"spec.networkPolicy.extraEgress[0]{field}"]


def test_extra_egress_comes_after_ours_and_not_into_the_stores() -> None:
    rule = {"ports": [{"port": 25060, "protocol": "TCP"}]}

    def egress(**spec: Any) -> dict[str, Any]:
        found = [child for child in children(community(**spec)) if child.key.kind == "NetworkPolicy"]
        return {child.key.name: child.manifest["spec"].get("egress", []) for child in found}

    before, after = egress(), egress(**_egress(rule))
    assert after == {name: [*rules, rule] if name in {"c-api", "c-jobs"} else [] for name, rules in before.items()}


@pytest.mark.parametrize("image", ["", "redis 8", "redis:", "Mirror/Redis:8", "redis@sha256:abc", "redis:8\n", "a//b"])
def test_text_that_is_no_image_is_refused(image: str) -> None:
    for part in ("redis", "database"):
        assert [one.field for one in validate(resource(**{part: {"image": image}})["spec"])] == [f"spec.{part}.image"]


def test_image_of_the_database_fills_the_volume_as_well() -> None:
    found = pod_templates(children(community(database={"image": "mirror.example/mysql:9.7.1"})))["StatefulSet c-mysql"]
    pods = found["spec"]
    assert {one["image"] for one in pods["containers"] + pods["initContainers"]} == {"mirror.example/mysql:9.7.1"}


def test_grace_of_the_drain_and_a_mount_beside_our_folders_are_accepted() -> None:
    assert validate(resource(**_api(terminationGracePeriodSeconds=52))["spec"]) == []
    assert validate(resource(**_mount("redis", "redis", "/database"))["spec"]) == []
