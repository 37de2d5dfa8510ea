"""`podTemplate` on a real apiserver: its own strategic merge as the witness of ours, and a Community that uses all of it."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
from tests.unit.operator.template_rows import FULL
from tests.unit.operator.test_template import NO_EGRESS, REFUSED
from tests.waiting import eventually

from bapsang_operator.build import template
from bapsang_operator.kinds import BY_NAME, COMMUNITY
from bapsang_operator.manifest import Manifest

from .client import Client
from .namespace import Namespace, resource
from .process import Operator
from .test_quiet import rounds

EGRESS: list[Manifest] = [
    {"ports": [{"port": 25060}, {"port": 5353, "protocol": "UDP"}, {"port": 7000, "endPort": 7009}], "to": []},
    {
        "to": [
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
            {"ipBlock": {"cidr": "fd00::/8", "except": []}},
        ]
    },
    {"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "traces"}}}], "ports": []},
]
ROUNDS = int(os.environ.get("BAPSANG_TEST_TEMPLATES", "40"))
DEPLOYMENT = BY_NAME["Deployment"]


def _keys(schemas: dict[str, Any], name: str, found: dict[str, str], seen: set[str]) -> None:
    """Collect the merge keys of the lists below a type."""
    if name in seen:
        return
    seen.add(name)
    for field, node in schemas[name].get("properties", {}).items():
        if "x-kubernetes-patch-merge-key" in node:
            assert found.setdefault(field, node["x-kubernetes-patch-merge-key"]) == node["x-kubernetes-patch-merge-key"]
        for one in (node, node.get("items", {}), node.get("additionalProperties", {})):
            for ref in (one, *one.get("allOf", ())) if isinstance(one, dict) else ():
                if "$ref" in ref:
                    _keys(schemas, ref["$ref"].rpartition("/")[2], found, seen)


def _listed(value: Any, field: str = "") -> Any:
    """Return a value with the lists that have a merge key in the order of that key."""
    if isinstance(value, dict):
        return {name: _listed(one, name) for name, one in value.items()}
    if isinstance(value, list):
        found = [_listed(one) for one in value]
        key = template.MERGE_KEYS.get(field)
        return (
            sorted(found, key=lambda one: str(one[key])) if key and all(isinstance(o, dict) for o in found) else found
        )
    return value


def test_lists_are_merged_by_the_keys_that_kubernetes_publishes(client: Client) -> None:
    schemas = client.openapi("apis/apps/v1")["components"]["schemas"]
    found: dict[str, str] = {}
    _keys(schemas, "io.k8s.api.core.v1.PodTemplateSpec", found, set())
    # Fields that a podTemplate does not have.
    unused = {
        "ephemeralContainers",
        "hostAliases",
        "ownerReferences",
        "volumeDevices",
        "resourceClaims",
        "schedulingGates",
    }
    assert {name: key for name, key in found.items() if name not in unused} == template.MERGE_KEYS
    assert unused & template.MERGE_KEYS.keys() == set()


class _Random:
    """Draws pod templates of a few names, so that items meet."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def some(self, **makers: Any) -> Manifest:
        return {name: make() for name, make in makers.items() if self._random.random() < 0.6}

    def word(self) -> str:
        return self._random.choice("abc")

    def many(self, key: str, make: Any) -> list[Manifest]:
        return [{key: name, **make()} for name in self._random.sample("abcd", self._random.randint(0, 3))]

    def map(self) -> dict[str, str]:
        return {name: self.word() for name in self._random.sample("abcd", self._random.randint(0, 3))}

    def container(self) -> Manifest:
        mounts = [{"mountPath": f"/{one.pop('p')}", **one} for one in self.many("p", lambda: {"name": self.word()})]
        ports = [{"containerPort": port, "protocol": "TCP"} for port in self._random.sample((80, 81, 82), 2)]
        return {"image": self.word()} | self.some(
            env=lambda: self.many("name", lambda: {"value": self.word()}),
            envFrom=lambda: [{"configMapRef": {"name": self.word()}}],
            volumeMounts=lambda: mounts,
            ports=lambda: ports,
            args=lambda: [self.word()],
            command=lambda: [self.word(), self.word()],
            imagePullPolicy=lambda: self._random.choice(("Always", "Never")),
            resources=lambda: {"limits": self.some(cpu=lambda: "1", memory=lambda: "1Gi")},
        )

    def template(self) -> Manifest:
        spec = self.some(
            nodeSelector=self.map,
            tolerations=lambda: [{"key": self.word(), "operator": "Exists"} for _ in "12"],
            imagePullSecrets=lambda: self.many("name", dict),
            volumes=lambda: self.many("name", lambda: {"emptyDir": self.some(sizeLimit=lambda: "1Mi")}),
            initContainers=lambda: [{"name": n, **self.container()} for n in self._random.sample("efg", 2)],
            containers=lambda: self.many("name", self.container),
            terminationGracePeriodSeconds=lambda: self._random.randint(25, 99),
            priorityClassName=self.word,
            securityContext=lambda: self.some(runAsUser=lambda: 7, supplementalGroups=lambda: [1, 2]),
        )
        return {"metadata": self.some(labels=self.map, annotations=self.map), "spec": spec}


def _manifest(namespace: str, pods: Manifest) -> Manifest:
    pods["metadata"]["labels"] = pods["metadata"].get("labels", {}) | {"app": "x"}
    pods["spec"].setdefault("containers", [])
    pods["spec"]["containers"].append({"name": "always", "image": "x"})
    pods["spec"]["volumes"] = [{"name": name, "emptyDir": {}} for name in "abcd"]
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": pods}
    return {"metadata": {"name": "witness", "namespace": namespace}, "spec": spec}


def test_merge_is_the_apiservers_own_strategic_merge(client: Client, namespace: Namespace) -> None:
    made = changed = 0
    for seed in range(ROUNDS):
        drawn = _Random(seed)
        before = client.create(DEPLOYMENT, _manifest(namespace.name, drawn.template()))
        assert before.is_success, before.text
        built = before.json()["spec"]["template"]
        patch = drawn.template()
        answer = client.try_patch(
            DEPLOYMENT, namespace.name, "witness", {"spec": {"template": patch}}, "strategic-merge", dryRun="All"
        )
        spec = before.json()["spec"] | {"template": template.merged(built, patch)}
        metadata = {"name": "ours", "namespace": namespace.name}
        ours = client.create(DEPLOYMENT, {"metadata": metadata, "spec": spec}, dryRun="All")
        namespace.delete("Deployment", "witness")
        eventually(lambda: namespace.get("Deployment", "witness") is None)
        assert answer.is_success == ours.is_success, (seed, answer.text, ours.text)
        if not answer.is_success:
            continue
        made += 1
        theirs = answer.json()["spec"]["template"]
        changed += theirs != built
        assert _listed(ours.json()["spec"]["template"]) == _listed(theirs), (seed, json.dumps(patch))
    assert made > ROUNDS * 0.7
    assert changed > ROUNDS * 0.6


def test_community_that_uses_every_field_settles_and_is_left_alone(namespace: Namespace, operator: Operator) -> None:
    network = {"networkPolicy": {"extraEgress": EGRESS}}
    namespace.community(**FULL, **network)
    namespace.bring_up()
    assert namespace.condition("Degraded")["status"] == "False"
    eventually(lambda: namespace.events("RolloutCompleted"))
    rounds(operator, 1)
    versions, writes = namespace.versions(), operator.writes()
    rounds(operator, 3)
    assert operator.writes() == writes
    assert namespace.versions() == versions
    # Nothing that the apiserver stores in another form, which would be taken for the work of a webhook.
    assert namespace.events("ChildRewritten") == []


@pytest.mark.usefixtures("operator")
def test_what_the_apiserver_refuses_is_told_in_its_words_and_mended(namespace: Namespace) -> None:
    bad = {"containers": [{"name": "api", "volumeMounts": [{"name": "nowhere", "mountPath": "/x"}]}]}
    namespace.community(api={"podTemplate": {"spec": bad}})
    namespace.finish_store("c-redis")
    namespace.finish_store("c-mysql")
    namespace.finish_job(namespace.migration())
    namespace.wait_for(
        "Degraded",
        "True",
        "ChildRejected",
        saying=(
            "c-api-base",
            "volumeMounts",
            "nowhere",
        ),
    )
    namespace.patch("Community", "c", {"spec": {"api": {"podTemplate": None}}})
    namespace.settle()
    namespace.wait_for("Degraded", "False")


@pytest.mark.parametrize("case", REFUSED)
def test_apiserver_refuses_what_would_break_the_pods_by_field(client: Client, namespace: Namespace, case: str) -> None:
    changes, field = REFUSED[case]
    answer = client.create(COMMUNITY, resource(namespace.name, **changes), dryRun="All")
    assert answer.status_code == 422, answer.text
    assert f"spec.{field}:" in answer.json()["message"]


def test_field_that_no_restricted_pod_has_is_unknown(client: Client, namespace: Namespace) -> None:
    for name in ("hostNetwork", "hostPID", "hostIPC", "serviceAccountName", "restartPolicy"):
        manifest = resource(namespace.name, api={"podTemplate": {"spec": {name: True}}})
        answer = client.create(COMMUNITY, manifest, dryRun="All", fieldValidation="Strict")
        assert answer.status_code == 400
        assert f"spec.api.podTemplate.spec.{name}" in answer.json()["message"]


@pytest.mark.parametrize("case", NO_EGRESS)
def test_apiserver_refuses_the_same_rules_of_egress(client: Client, namespace: Namespace, case: str) -> None:
    changes, field = NO_EGRESS[case]
    answer = client.create(COMMUNITY, resource(namespace.name, **changes), dryRun="All")
    assert answer.status_code == 422, answer.text
    assert f"spec.networkPolicy.extraEgress[0]{field}:" in answer.json()["message"]
