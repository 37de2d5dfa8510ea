"""A bucket, its access key and its collector: waited for, rotated, told of, and gone with the storage."""

from __future__ import annotations

from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names
from bapsang_operator.kinds import BY_NAME

from .client import Client
from .namespace import Namespace
from .process import Operator

pytestmark = pytest.mark.usefixtures("operator")

STORAGE = {"bucket": "media", "endpoint": "http://s3.example.com:7070", "secretName": "media-key"}


def _give_key(namespace: Namespace, **values: str) -> None:
    secret = {"metadata": {"name": "media-key", "namespace": namespace.name}, "stringData": values}
    Client._ok(namespace.client.create(BY_NAME["Secret"], secret))


def _environment(namespace: Namespace, deployment: str) -> dict[str, Any]:
    found: Any = eventually(lambda: namespace.get("Deployment", deployment))
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_pods_wait_until_both_halves_of_the_access_key_are_there(namespace: Namespace) -> None:
    namespace.community(storage=STORAGE)
    namespace.wait_for(
        "Degraded",
        "True",
        "SecretMissing",
        saying=(
            "spec.storage.secretName",
            '"AWS_ACCESS_KEY_ID"',
            '"AWS_SECRET_ACCESS_KEY"',
            '"media-key"',
        ),
    )
    namespace.finish_store("c-mysql")
    namespace.finish_store("c-redis")
    namespace.finish_job(namespace.migration())
    _give_key(namespace, AWS_ACCESS_KEY_ID="id")
    eventually(lambda: "AWS_ACCESS_KEY_ID" not in namespace.condition("Degraded")["message"], 60)
    assert namespace.get("Deployment", "c-api-base") is None
    assert namespace.get("CronJob", "c-image-collector") is None
    namespace.patch("Secret", "media-key", {"stringData": {"AWS_SECRET_ACCESS_KEY": "key"}})
    assert _environment(namespace, "c-api-base")["BAPSANG_S3_BUCKET"] == "media"
    eventually(lambda: namespace.get("CronJob", "c-image-collector"))
    namespace.wait_for("Degraded", "False")


def test_storage_comes_and_goes_with_the_spec(namespace: Namespace, operator: Operator) -> None:
    _give_key(namespace, AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key")
    annotations = {"example.com/role": "media"}
    limits = {"rules": {"ip": "6000/60", "write": "off"}}
    namespace.community(storage=STORAGE, serviceAccount={"annotations": annotations}, api={"rateLimits": limits})
    namespace.bring_up()
    assert namespace.get("CronJob", "c-image-collector")
    assert _environment(namespace, "c-api-burst")["BAPSANG_RATE_LIMITS"] == "ip=6000/60,write=off"
    account: Any = namespace.get("ServiceAccount", "c-api")
    assert account["metadata"]["annotations"].items() >= annotations.items()
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text

    namespace.patch("Community", "c", {"spec": {"storage": None, "serviceAccount": None}})
    eventually(lambda: namespace.get("CronJob", "c-image-collector") is None)
    eventually(lambda: "BAPSANG_S3_BUCKET" not in _environment(namespace, "c-api-base"))

    def is_plain() -> bool:
        account: Any = namespace.get("ServiceAccount", "c-api")
        return annotations.keys().isdisjoint(account["metadata"]["annotations"])

    eventually(is_plain)


def test_pods_with_an_identity_need_no_secret(namespace: Namespace, operator: Operator) -> None:
    namespace.community(storage={"bucket": "media"})
    namespace.bring_up()
    assert namespace.condition("Degraded")["status"] == "False"
    assert namespace.get("NetworkPolicy", "c-api")
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text


def test_rotated_access_key_rolls_the_pods(namespace: Namespace) -> None:
    _give_key(namespace, AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="one")
    namespace.community(storage=STORAGE)
    namespace.bring_up()

    def checksum() -> str:
        found: Any = namespace.get("Deployment", "c-api-base")
        return str(found["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_SECRETS])

    before = checksum()
    namespace.patch("Secret", "media-key", {"stringData": {"AWS_SECRET_ACCESS_KEY": "two"}})
    eventually(lambda: checksum() != before, 60)


def test_failed_collector_is_told_until_it_is_suspended(namespace: Namespace) -> None:
    _give_key(namespace, AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="key")
    namespace.community(storage=STORAGE)
    namespace.bring_up()
    template = (namespace.get("CronJob", "c-image-collector") or {})["spec"]["jobTemplate"]
    metadata = {**template["metadata"], "name": "c-image-collector-1", "namespace": namespace.name}
    Client._ok(namespace.client.create(BY_NAME["Job"], {**template, "metadata": metadata}))
    namespace.finish_job("c-image-collector-1", succeeded=False)
    namespace.wait_for(
        "Degraded",
        "True",
        "ImageCollectorFailed",
        saying=(
            "CronJob c-image-collector",
            "component=image-collector",
        ),
    )
    assert namespace.condition("Ready")["status"] == "True"
    namespace.patch("Community", "c", {"spec": {"imageCollector": {"suspend": True}}})
    namespace.wait_for("Degraded", "False")


def test_access_key_with_a_line_end_is_refused_without_its_text_while_what_runs_goes_on(namespace: Namespace) -> None:
    _give_key(namespace, AWS_ACCESS_KEY_ID="id", AWS_SECRET_ACCESS_KEY="geheim")
    namespace.community(storage=STORAGE)
    namespace.bring_up()
    before = namespace.get("Deployment", "c-api-base") or {}
    # As `echo key | base64` makes it.
    namespace.patch("Secret", "media-key", {"stringData": {"AWS_SECRET_ACCESS_KEY": "geheimer\n"}})
    told = namespace.wait_for(
        "Degraded",
        "True",
        "SecretInvalid",
        saying=('key "AWS_SECRET_ACCESS_KEY" of secret "media-key" (spec.storage.secretName) holds a line end',),
    )["message"]
    assert "geheim" not in told
    assert (namespace.get("Deployment", "c-api-base") or {})["spec"] == before["spec"]
    namespace.patch("Secret", "media-key", {"stringData": {"AWS_SECRET_ACCESS_KEY": "geheimer"}})
    namespace.wait_for("Degraded", "False")
    eventually(lambda: (namespace.get("Deployment", "c-api-base") or {})["spec"] != before["spec"])
