"""A generated password is rotated by changing its key alone; one that cannot be used reaches no pod."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.waiting import eventually

from bapsang_operator import names

from .namespace import Namespace
from .process import Operator

pytestmark = pytest.mark.usefixtures("operator")


def _values(namespace: Namespace, name: str) -> dict[str, str]:
    data = (namespace.get("Secret", name) or {})["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _checksum(namespace: Namespace, kind: str, name: str) -> str:
    found: Any = namespace.get(kind, name)
    return str(found["spec"]["template"]["metadata"]["annotations"][names.ANNOTATION_SECRETS])


@pytest.mark.parametrize(("store", "copies"), [("c-redis", ("url", "redis.conf")), ("c-mysql", ("url", "init.sql"))])
def test_password_that_is_changed_alone_reaches_store_and_clients(
    up: Namespace, operator: Operator, store: str, copies: tuple[str, ...]
) -> None:
    old, before = _values(up, store)["password"], _checksum(up, "StatefulSet", store)
    api, job = _checksum(up, "Deployment", "c-api-base"), up.migration()
    up.patch("Secret", store, {"stringData": {"password": "rotated2026"}})
    eventually(lambda: _checksum(up, "StatefulSet", store) != before, 60, "the store is given it")
    after = _values(up, store)
    assert all("rotated2026" in after[key] and old not in after[key] for key in copies)
    up.finish_store(store)
    if store == "c-mysql":
        up.finish_job(up.migration(other_than=job))
    eventually(lambda: _checksum(up, "Deployment", "c-api-base") != api, 60, "the API is given it")
    up.settle()
    assert up.condition("Degraded")["status"] == "False"
    told = [event["message"] for event in up.events("ChildRestored")]
    assert f"Secret {store}: its other keys follow the changed password." in told
    assert "rotated2026" not in operator.log.read_text() + str(told)


def test_password_with_a_line_end_is_told_and_reaches_no_pod(up: Namespace) -> None:
    before, good = _checksum(up, "StatefulSet", "c-redis"), _values(up, "c-redis")["password"]
    up.patch("Secret", "c-redis", {"stringData": {"password": "geheim2026\n"}})
    told = up.wait_for(
        "Degraded",
        "True",
        "SecretInvalid",
        saying=('key "password" of secret "c-redis" (generated) is not the password of the other keys',),
    )["message"]
    assert "geheim" not in told
    assert "does not exist" not in told
    assert _checksum(up, "StatefulSet", "c-redis") == before
    up.patch("Secret", "c-redis", {"stringData": {"password": good}})
    up.wait_for("Degraded", "False")
    assert _checksum(up, "StatefulSet", "c-redis") == before
