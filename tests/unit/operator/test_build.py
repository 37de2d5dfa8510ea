"""Manifests of children: security, selectors, environment, and that no operator upgrade restarts a workload."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_api.server import REQUEST_SECONDS
from bapsang_operator import build, names
from bapsang_operator.build import secret
from bapsang_operator.manifest import Key
from bapsang_operator.resource import parse

from .announced import restarts
from .world import UID, AllDigests, children, community, pod_templates, resource

PROJECT = Path(__file__).resolve().parents[3]
CHART = PROJECT / "charts" / "bapsang-operator"
EKS_SAMPLE = PROJECT / "manifests" / "samples" / "community-eks.yaml"
GOLDEN_FILES = Path(__file__).parent / "golden"
#: Alike in all children: `test_every_child_belongs_to_the_community_and_goes_with_it`.
SHARED = {"namespace", "ownerReferences"}
EXTERNAL: dict[str, Any] = {
    "redis": {"mode": "external", "url": "rediss://cache.example.com:6380/0"},
    "database": {"mode": "external", "writerSecretRef": {"name": "w"}, "readerSecretRef": {"name": "r"}},
    "auth": {"signingKeySecretRef": {"name": "k"}},
}
STORAGE: dict[str, Any] = {"bucket": "media", "endpoint": "http://s3.storage.svc:7070", "secretName": "s3"}
MAIL: dict[str, Any] = {"from": "no-reply@example.com", "secretRef": {"name": "mail"}}
SHAPES: dict[str, dict[str, Any]] = {
    "all defaults": {},
    "everything external": EXTERNAL,
    "own authorities": {
        "redis": {**EXTERNAL["redis"], "tls": {"caBundle": {"name": "trusted"}}},
        "database": {**EXTERNAL["database"], "tls": {"caBundle": {"kind": "Secret", "name": "db", "key": "ca"}}},
    },
    "no host": {"host": None},
    "with storage": {"storage": STORAGE},
    "with mail": {"mail": MAIL},
    "head room": {"api": {"burst": {"headroom": 3, "resources": {"requests": {"cpu": "700m"}}}}},
    "arm64 without spot": {"api": {"arch": "arm64", "spot": {"enabled": False}}},
}
KNOWN = {
    *("BAPSANG_DATABASE_URL", "BAPSANG_DATABASE_READER_URL", "BAPSANG_REDIS_URL", "BAPSANG_SIGNING_KEY_FILE"),
    *("BAPSANG_ISSUER", "BAPSANG_AUDIENCE", "BAPSANG_CORS_ORIGINS", "BAPSANG_ADMIN_PORT", "BAPSANG_LOG_LEVEL"),
    *(
        "BAPSANG_S3_BUCKET",
        "BAPSANG_S3_REGION",
        "BAPSANG_S3_ENDPOINT",
        "BAPSANG_S3_UPLOAD_URL",
        "BAPSANG_S3_PUBLIC_URL",
    ),
    "BAPSANG_RATE_LIMITS",
    "BAPSANG_TRUSTED_HOPS",
    "BAPSANG_PUBLIC_URL",
    "BAPSANG_DATABASE_TLS_CA",
    "BAPSANG_REDIS_TLS_CA",
    "BAPSANG_ORIGINALS_DAYS",
    "BAPSANG_HOLD_POSTS",
    *("BAPSANG_SMTP_URL", "BAPSANG_SMTP_TLS_CA", "BAPSANG_MAIL_FROM"),
}


def _shape(name: str) -> Any:
    found = resource(**SHAPES[name])
    found["spec"] = {key: value for key, value in found["spec"].items() if value is not None}
    return parse(found)


def _by_key(**changes: Any) -> dict[tuple[str, str], Any]:
    return {(child.key.kind, child.key.name): child.manifest for child in children(community(**changes))}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_pod_meets_the_restricted_level(shape: str) -> None:
    templates = pod_templates(children(_shape(shape)))
    assert templates
    for template in templates.values():
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {"hostNetwork", "hostPID", "hostIPC"}.isdisjoint(spec)
        allowed = {"emptyDir", "secret", "configMap", "persistentVolumeClaim"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec["volumes"])
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": True,
            }
            assert all("hostPort" not in port for port in container.get("ports", []))


@pytest.mark.parametrize("shape", SHAPES)
def test_no_pod_gets_a_token_or_service_links(shape: str) -> None:
    for template in pod_templates(children(_shape(shape))).values():
        assert template["spec"]["automountServiceAccountToken"] is False
        assert template["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("shape", SHAPES)
def test_every_child_and_pod_carries_the_label_that_the_watches_select(shape: str) -> None:
    found = children(_shape(shape))
    for child in found:
        assert child.manifest["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.MANAGER
        assert child.manifest["metadata"]["ownerReferences"][0]["controller"] is True
    for template in pod_templates(found).values():
        assert template["metadata"]["labels"][names.LABEL_MANAGED_BY] == names.MANAGER
        assert template["metadata"]["labels"][names.LABEL_COMMUNITY] == "c"


@pytest.mark.parametrize("shape", SHAPES)
def test_selectors_pick_the_pods_they_mean(shape: str) -> None:
    found = children(_shape(shape))
    templates = pod_templates(found)
    for child in found:
        spec = child.manifest.get("spec", {})
        if child.key.kind in {"Deployment", "StatefulSet"}:
            labels = templates[f"{child.key.kind} {child.key.name}"]["metadata"]["labels"]
            assert spec["selector"]["matchLabels"].items() <= labels.items()
        if child.key.kind == "Service":
            picked = [
                name for name, one in templates.items() if spec["selector"].items() <= one["metadata"]["labels"].items()
            ]
            assert all(child.key.name in name for name in picked)
            assert picked


@pytest.mark.parametrize("shape", SHAPES)
def test_containers_get_only_settings_that_the_api_knows(shape: str) -> None:
    for template in pod_templates(children(_shape(shape))).values():
        for container in template["spec"]["containers"]:
            given = [item["name"] for item in container.get("env", [])]
            assert len(given) == len(set(given))
            ours = {name.removeprefix(names.OPTIONAL) for name in given if "BAPSANG_" in name}
            assert ours <= KNOWN


def test_burst_count_is_never_sent_and_base_count_is() -> None:
    found = _by_key(api={"base": {"replicas": 3}})
    assert "replicas" not in found["Deployment", "c-api-burst"]["spec"]
    assert found["Deployment", "c-api-base"]["spec"]["replicas"] == 3


def test_placeholders_are_as_large_as_burst_pods_and_stand_where_these_would() -> None:
    templates = pod_templates(children(_shape("head room")))
    burst, placeholder = (templates[f"Deployment c-{name}"]["spec"] for name in ("api-burst", "headroom"))
    for field in ("affinity", "tolerations"):
        assert placeholder[field] == burst[field]
    assert placeholder["containers"][0]["resources"] == burst["containers"][0]["resources"]
    assert placeholder["containers"][0]["resources"]["requests"]["cpu"] == "700m"
    assert placeholder["containers"][0]["image"] == burst["containers"][0]["image"]


def test_placeholders_give_way_at_once_and_to_everything() -> None:
    found = {
        (child.key.kind, child.key.name): child.manifest["spec"]
        for child in children(_shape("head room"))
        if "spec" in child.manifest
    }
    placeholder = found["Deployment", "c-headroom"]["template"]
    priority = yaml.safe_load(re.sub(r"{{.*}}", "", (CHART / "templates/priorityclass.yaml").read_text()))
    assert placeholder["spec"]["priorityClassName"] == priority["metadata"]["name"]
    # The cluster autoscaler does not count pods of a priority below -10 among those that wait for a node.
    assert -10 <= priority["value"] < 0
    assert priority["preemptionPolicy"] == "Never"
    assert placeholder["spec"]["terminationGracePeriodSeconds"] <= 1
    assert found["Deployment", "c-headroom"]["replicas"] == 3
    # No traffic is sent to a placeholder, and none counts in the budget or as a pod of a tier.
    budgets = [("PodDisruptionBudget", name) for name in ("c-api", "c-api-burst")]
    for owner in (("Service", "c-api"), *budgets, ("Deployment", "c-api-burst")):
        selector = found[owner]["selector"]
        assert not selector.get("matchLabels", selector).items() <= placeholder["metadata"]["labels"].items()


def test_there_are_no_placeholders_unless_asked_for_and_none_while_the_community_sleeps() -> None:
    burst = {"burst": {"headroom": 2}}
    assert ("Deployment", "c-headroom") not in _by_key()
    assert ("Deployment", "c-headroom") in _by_key(api=burst)
    assert ("Deployment", "c-headroom") not in _by_key(api=burst, hibernate=True)


@pytest.mark.parametrize("wanted", [1, 2, 3, 35, 600])
def test_a_pod_takes_requests_for_as_long_as_the_spec_says_and_then_has_time_to_end(wanted: int) -> None:
    for name in ("Deployment c-api-base", "Deployment c-api-burst"):
        spec = pod_templates(children(community(api={"drainSeconds": wanted})))[name]["spec"]
        (container,) = spec["containers"]
        pre_stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        closing = int(container["args"][container["args"].index("--drain-seconds") + 1])
        assert pre_stop + closing == wanted
        assert pre_stop >= 1, "Kubernetes before 1.32 refuses a sleep of 0"
        assert wanted + REQUEST_SECONDS < spec["terminationGracePeriodSeconds"]


def test_the_default_drain_outlasts_the_deregistration_of_the_aws_sample() -> None:
    sample = next(one for one in yaml.safe_load_all(EKS_SAMPLE.read_text()) if one["kind"] == "Community")
    attributes = sample["spec"]["ingress"]["annotations"]["alb.ingress.kubernetes.io/target-group-attributes"]
    delay = int(dict(pair.split("=") for pair in attributes.split(","))["deregistration_delay.timeout_seconds"])
    assert "drainSeconds" not in sample["spec"]["api"]
    assert community().api.drain_seconds >= delay + 5


def test_external_stores_leave_nothing_to_run() -> None:
    found = children(community(**EXTERNAL))
    assert {child.key.kind for child in found}.isdisjoint({"StatefulSet", "PersistentVolumeClaim"})
    assert secret.generators(community(**EXTERNAL)) == {}
    egress = next(child for child in found if child.key == Key("NetworkPolicy", "ns", "c-api")).manifest["spec"][
        "egress"
    ]
    ports = {port["port"] for rule in egress for port in rule["ports"]}
    assert ports == {53, 443, 3306, 6379, 6380}


def test_stores_let_in_only_our_own_pods() -> None:
    spec = _by_key()["NetworkPolicy", "c-mysql"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in spec
    (rule,) = spec["ingress"]
    assert rule["ports"] == [{"protocol": "TCP", "port": 3306}]
    assert rule["from"][0]["podSelector"]["matchLabels"] == {names.LABEL_COMMUNITY: "c"}


@pytest.mark.parametrize(
    ("changes", "url", "issuer"),
    [
        ({}, "http://c.example.com", "http://c.example.com"),
        ({"ingress": {"tlsSecretName": "t"}}, "https://c.example.com", "https://c.example.com"),
        ({"publicUrl": "http://c.localhost:8880"}, "http://c.localhost:8880", "http://c.localhost:8880"),
        ({"auth": {"issuer": "https://id.example.com"}}, "http://c.example.com", "https://id.example.com"),
    ],
)
def test_url_is_issuer_and_own_origin(changes: dict[str, Any], url: str, issuer: str) -> None:
    found = _by_key(**changes)["Deployment", "c-api-base"]["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item.get("value") for item in found["env"]}
    assert community(**changes).url == url
    assert env["BAPSANG_ISSUER"] == issuer
    assert env.get("OPTIONAL_BAPSANG_PUBLIC_URL", issuer) == url
    assert env["BAPSANG_CORS_ORIGINS"].split(",")[0] == url


@pytest.mark.parametrize(
    ("api", "others"),
    [({}, ["http://localhost:3000", "http://127.0.0.1:3000"]), ({"corsOrigins": []}, [])],
    ids=["as the contract asks", "in production"],
)
def test_origins_of_development_are_allowed_unless_others_are_named(api: dict[str, Any], others: list[str]) -> None:
    container = _by_key(api=api)["Deployment", "c-api-base"]["spec"]["template"]["spec"]["containers"][0]
    env = {item["name"]: item.get("value") for item in container["env"]}
    assert env["BAPSANG_CORS_ORIGINS"].split(",") == ["http://c.example.com", *others]


@pytest.mark.parametrize("status", [{"issuer": "http://first"}, {"url": "http://first"}], ids=["this", "v0.0.1"])
@pytest.mark.parametrize("changes", [{}, {"publicUrl": "https://second"}, {"ingress": {"tlsSecretName": "t"}}])
def test_issuer_outlives_a_change_of_address(changes: dict[str, Any], status: dict[str, Any]) -> None:
    """With another issuer, old and new pods refuse each other's tokens, and afterwards every older one is refused."""
    found = parse({**resource(**changes), "status": status})
    assert found.issuer == "http://first"
    assert found.url == community(**changes).url
    assert parse({**resource(auth={"issuer": "https://said"}), "status": status}).issuer == "https://said"


def test_rotated_secret_changes_the_templates_that_read_it_and_no_job() -> None:
    before, after = (
        pod_templates(children(community(), digests))
        for digests in (AllDigests(), AllDigests({("c-redis", "url"): "rotated", ("c-redis", "password"): "rotated"}))
    )
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"Deployment c-api-base", "Deployment c-api-burst", "StatefulSet c-redis"}


def test_missing_secrets_hold_up_only_what_reads_them() -> None:
    found = build.children(community(api={"env": [_from_secret("TOKEN", "t", "k")]}), _Without("t", "k"))
    held = {child.key.name for child in found if child.missing}
    assert held == {"c-api-base", "c-api-burst"}
    assert next(child.missing[0].field for child in found if child.missing) == "spec.api.env[0].valueFrom.secretKeyRef"


def _from_secret(variable: str, name: str, key: str) -> dict[str, Any]:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}


class _Without(AllDigests):
    def __init__(self, name: str, key: str) -> None:
        super().__init__()
        self._missing = (name, key)

    def __contains__(self, key: object) -> bool:
        return key != self._missing


def test_migration_is_named_by_image_and_database() -> None:
    def named(digests: dict[tuple[str, str], str] | None = None, claim: str = "", **changes: Any) -> str:
        return build.migration.digest(community(**changes), AllDigests(digests or {}), claim)

    moved = {"url": {("c-mysql", "url"): "other"}, "key": {("c-signing-key", "signing-key.pem"): "other"}}
    others = [named(image="b:2"), named(moved["url"]), named(claim="uid")]
    assert named() == named(host="x.y") == named({("c-redis", "url"): "other"})
    assert len({named(), *others}) == 4
    assert all(len(name) == 8 for name in others)
    # Keyed: somebody who reads the name of the Job cannot try passwords against it.
    assert named(moved["key"]) != named()


def test_ingress_is_what_the_controller_reads() -> None:
    found = _by_key(ingress={"className": "alb", "tlsSecretName": "t", "annotations": {"a": "b"}})["Ingress", "c-api"]
    backend = {"service": {"name": "c-api", "port": {"name": "http"}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    assert found["metadata"]["annotations"] == {"a": "b"}
    assert found["spec"] == {
        "ingressClassName": "alb",
        "rules": [{"host": "c.example.com", "http": {"paths": paths}}],
        "tls": [{"hosts": ["c.example.com"], "secretName": "t"}],
    }


def test_longest_name_gives_names_that_kubernetes_takes() -> None:
    name = "c" * names.MAX_NAME
    assert max(len(names.like_sync(name)), len(names.image_collector(name))) <= 52
    assert len(names.migration(name, "12345678")) <= 63


def test_children_are_word_for_word_those_of_the_golden_file() -> None:
    """One shape for all; `field_rows.py` has what each field changes in it. BAPSANG_TEST_GOLDEN=write renews the file:
    look at its difference before you commit it."""
    found = []
    for child in children(_shape("with storage")):
        metadata = {key: value for key, value in child.manifest["metadata"].items() if key not in SHARED}
        found.append({"gate": child.gate.name, **child.manifest, "metadata": metadata})
    # Short: what holds nothing but scalars stands on one line.
    text = yaml.safe_dump(json.loads(json.dumps(found)), allow_unicode=True, width=200, default_flow_style=None)
    golden = GOLDEN_FILES / "children.yaml"
    if os.environ.get("BAPSANG_TEST_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_child_belongs_to_the_community_and_goes_with_it(shape: str) -> None:
    owner = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": "c", "uid": UID, "controller": True}
    for child in children(_shape(shape)):
        assert child.manifest["metadata"]["namespace"] == "ns"
        assert child.manifest["metadata"]["ownerReferences"] == [owner]


#: Pod templates of the version before this one. `BAPSANG_TEST_GOLDEN=release` renews the file, as the last step of a release.
PREVIOUS = GOLDEN_FILES / "previous.yaml"


def _templates() -> dict[str, dict[str, Any]]:
    return {shape: pod_templates(children(_shape(shape))) for shape in ("all defaults", "everything external")}


def test_upgrade_of_the_operator_restarts_only_what_the_changelog_announces() -> None:
    """A changed pod template restarts the pods of every Community: change one on purpose only, and tell users."""
    if os.environ.get("BAPSANG_TEST_GOLDEN") == "release":
        PREVIOUS.write_text(yaml.safe_dump(json.loads(json.dumps(_templates())), allow_unicode=True, width=120))
    before, now = yaml.safe_load(PREVIOUS.read_text()), json.loads(json.dumps(_templates()))
    changed = {
        name.replace(" c-", " ")
        for shape, templates in before.items()
        for name, template in templates.items()
        # A migration that ran is not run again; its name says what it did. A CronJob's next run is a new pod anyway.
        if now[shape].get(name) != template and not name.startswith(("Job ", "CronJob "))
    }
    assert changed == restarts()
