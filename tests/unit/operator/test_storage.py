"""What storage, the image collector, rate limits and the pods' identity change in the children."""

from __future__ import annotations

from typing import Any

import pytest

from bapsang_operator import build, names
from bapsang_operator.build import urls, wiring
from bapsang_operator.build.urls import Form
from bapsang_operator.manifest import Key, Manifest, key_of

from .world import AllDigests, Cluster, children, community, pod_templates

STORAGE: dict[str, Any] = {"bucket": "media", "endpoint": "http://s3.storage.svc:7070", "secretName": "s3"}
IDENTITY: dict[str, Any] = {"bucket": "media"}
S3 = ("BAPSANG_S3_", "AWS_")


def _env(template: str, **changes: Any) -> dict[str, Any]:
    (container,) = pod_templates(children(community(**changes)))[template]["spec"]["containers"]
    return {item["name"]: item.get("value", item.get("valueFrom")) for item in container["env"]}


def _child(kind: str, name: str, **changes: Any) -> Manifest:
    return next(child.manifest for child in children(community(**changes)) if child.key == Key(kind, "ns", name))


@pytest.mark.parametrize(
    "template",
    [*("Deployment c-api-base", "Deployment c-api-burst"), "Deployment c-media", "CronJob c-image-collector"],
)
def test_every_field_of_storage_reaches_the_pods_that_use_it(template: str) -> None:
    full = STORAGE | {
        "region": "us-east-1",
        "uploadUrl": "https://upload.example.com",
        "publicUrl": "https://cdn.example.com/media",
    }
    env = _env(template, storage=full)
    assert {name: value for name, value in env.items() if name.startswith(S3)} == {
        "BAPSANG_S3_BUCKET": "media",
        "BAPSANG_S3_REGION": "us-east-1",
        "BAPSANG_S3_ENDPOINT": "http://s3.storage.svc:7070",
        "BAPSANG_S3_UPLOAD_URL": "https://upload.example.com",
        "BAPSANG_S3_PUBLIC_URL": "https://cdn.example.com/media",
        "AWS_ACCESS_KEY_ID": {"secretKeyRef": {"name": "s3", "key": "AWS_ACCESS_KEY_ID"}},
        "AWS_SECRET_ACCESS_KEY": {"secretKeyRef": {"name": "s3", "key": "AWS_SECRET_ACCESS_KEY"}},
    }


def test_what_storage_does_not_say_is_left_to_the_api() -> None:
    env = _env("Deployment c-api-base", storage=IDENTITY)
    assert {name for name in env if name.startswith(S3)} == {"BAPSANG_S3_BUCKET", "BAPSANG_S3_REGION"}


def test_jobs_that_touch_no_image_get_no_access_key() -> None:
    for name, template in pod_templates(children(community(storage=STORAGE))).items():
        given = {item["name"] for item in template["spec"]["containers"][0].get("env", ())}
        expected = "api" in name or "image-collector" in name or "media" in name
        assert (set(names.ACCESS_KEY) <= given) is expected, name


def test_image_collector_does_as_its_fields_say_and_only_where_there_is_storage() -> None:
    wanted = {"schedule": "5 4 * * *", "suspend": True, "graceHours": 48}
    made = _child("CronJob", "c-image-collector", storage=STORAGE, imageCollector=wanted)["spec"]
    assert (made["schedule"], made["suspend"], made["concurrencyPolicy"]) == ("5 4 * * *", True, "Forbid")
    container = made["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["image-collector", "--older-than", "48"]
    assert {"name": "OPTIONAL_BAPSANG_ORIGINALS_DAYS", "value": "30"} in container["env"]
    assert "c-image-collector" not in {child.key.name for child in children(community(imageCollector=wanted))}


def test_image_collector_and_photo_workers_go_with_the_storage() -> None:
    cluster = Cluster(community(storage=STORAGE))
    cluster.bring_up()
    cluster.community = community()
    assert {str(key_of(gone)) for gone in cluster.plan().deletes} == {
        *("CronJob c-image-collector", "Deployment c-media", "HorizontalPodAutoscaler c-media")
    }


class _Holding(AllDigests):
    """Only some keys of the Secret `s3` exist."""

    def __init__(self, *keys: str) -> None:
        super().__init__()
        self._keys = keys

    def __contains__(self, key: object) -> bool:
        return not isinstance(key, tuple) or key[0] != "s3" or key[1] in self._keys


@pytest.mark.parametrize("keys", [(), ("AWS_ACCESS_KEY_ID",)])
def test_missing_access_key_holds_up_what_needs_it_and_names_the_field(keys: tuple[str, ...]) -> None:
    found = build.children(community(storage=STORAGE), _Holding(*keys))
    held = {child.key.name: child.missing for child in found if child.missing}
    assert set(held) == {"c-api-base", "c-api-burst", "c-media", "c-image-collector"}
    for missing in held.values():
        assert {ref.key for ref in missing} == set(names.ACCESS_KEY) - set(keys)
        assert {ref.field for ref in missing} == {"spec.storage.secretName"}


def test_rotated_access_key_rolls_the_api_and_the_photo_workers_and_nothing_else() -> None:
    wanted = community(storage=STORAGE)
    before, after = (
        pod_templates(children(wanted, digests))
        for digests in (AllDigests(), AllDigests({("s3", "AWS_SECRET_ACCESS_KEY"): "rotated"}))
    )
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"Deployment c-api-base", "Deployment c-api-burst", "Deployment c-media"}


def _egress(policy: str, **changes: Any) -> list[Manifest]:
    rules: list[Manifest] = _child("NetworkPolicy", policy, **changes)["spec"]["egress"]
    return rules


def _open_ports(rules: list[Manifest]) -> set[int]:
    return {port["port"] for rule in rules if "to" not in rule for port in rule["ports"]}


@pytest.mark.parametrize("policy", ["c-api", "c-jobs"])
@pytest.mark.parametrize(
    ("storage", "ports"),
    [
        (None, {53}),
        (STORAGE, {53, 7070}),
        (STORAGE | {"endpoint": "http://s3.example.com"}, {53, 80}),
        (STORAGE | {"endpoint": "https://s3.example.com"}, {53, 443}),
        ({"bucket": "media", "secretName": "s3"}, {53, 443}),
        ({"bucket": "media", "endpoint": "http://s3.example.com:9000"}, {53, 443, 9000}),
    ],
)
def test_pods_may_talk_to_the_storage_they_are_given(
    policy: str, storage: dict[str, Any] | None, ports: set[int]
) -> None:
    assert _open_ports(_egress(policy, **({} if storage is None else {"storage": storage}))) == ports


def test_pods_with_an_identity_may_ask_the_agent_of_their_node_for_credentials() -> None:
    def agents(storage: dict[str, Any]) -> list[Manifest]:
        return [rule for rule in _egress("c-api", storage=storage) if "ipBlock" in rule.get("to", [{}])[0]]

    (rule,) = agents(IDENTITY)
    assert "169.254.170.23/32" in [peer["ipBlock"]["cidr"] for peer in rule["to"]]
    assert rule["ports"] == [{"protocol": "TCP", "port": 80}]
    assert agents(STORAGE) == []


def test_collector_may_reach_the_stores() -> None:
    for store in ("c-redis", "c-mysql"):
        (rule,) = _child("NetworkPolicy", store)["spec"]["ingress"]
        (expression,) = rule["from"][0]["podSelector"]["matchExpressions"]
        assert "image-collector" in expression["values"]


@pytest.mark.parametrize(
    ("limits", "value"),
    [
        ({}, None),
        ({"rules": {}}, None),
        ({"rules": {"write": "off", "ip": "1200/60"}}, "ip=1200/60,write=off"),
        ({"enabled": False}, "off"),
        ({"enabled": False, "rules": {"ip": "1/1"}}, "off"),
    ],
)
def test_rate_limits_reach_the_api(limits: dict[str, Any], value: str | None) -> None:
    assert _env("Deployment c-api-base", api={"rateLimits": limits}).get("BAPSANG_RATE_LIMITS") == value


def test_service_account_carries_the_annotations_that_give_an_identity() -> None:
    annotations = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/media"}
    made = _child("ServiceAccount", "c-api", serviceAccount={"annotations": annotations})
    assert made["metadata"]["annotations"] == annotations
    assert "annotations" not in _child("ServiceAccount", "c-api")["metadata"]


@pytest.mark.parametrize("value", [b"key\n", b" key", b"ke y", b"", b"k\xc3\xa9y", b"key\r\n", b"\xff"])
def test_access_key_that_is_not_alone_is_refused_without_its_text(value: bytes) -> None:
    told = urls.fault(Form.ACCESS_KEY, value)
    assert told is not None
    assert "printf" in told
    assert "ke y" not in told


def test_access_key_is_any_printable_text_without_spaces() -> None:
    assert urls.fault(Form.ACCESS_KEY, b"wJalrXUtnFEMI/K7MDENG+bPxRfiCY=") is None
    wanted = community(storage=STORAGE)
    assert {(ref.key, form) for ref, form in wiring.formed(wanted) if form is Form.ACCESS_KEY} == {
        (key, Form.ACCESS_KEY) for key in names.ACCESS_KEY
    }
