"""Whatever is deleted or edited by hand comes back within seconds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Community, eventually

RESTORED_SECONDS = 10
SECRET_SECONDS = 60  # Secrets are never watched, only asked for by name from time to time

CHILDREN = [
    "deployment/api-base", "deployment/api-burst", "service/api", "hpa/api-burst", "pdb/api", "ingress/api", "serviceaccount/api",
    "cronjob/like-sync", "networkpolicy/api", "networkpolicy/redis", "networkpolicy/mysql", "service/redis", "service/mysql",
    "statefulset/redis", "statefulset/mysql",
]  # fmt: skip

EDITS: list[tuple[str, list[Any], Any]] = [
    ("deployment/api-base", ["spec", "template", "spec", "containers", 0, "image"], "example.com/wrong:1"),
    ("deployment/api-base", ["spec", "replicas"], 0),
    ("service/api", ["spec", "ports", 0, "targetPort"], 1),
    ("hpa/api-burst", ["spec", "maxReplicas"], 99),
    ("pdb/api", ["spec", "maxUnavailable"], "100%"),
    ("ingress/api", ["spec", "rules", 0, "host"], "wrong.example.com"),
    ("cronjob/like-sync", ["spec", "suspend"], True),
    ("networkpolicy/redis", ["spec", "ingress"], [{}]),
]


@pytest.mark.parametrize("child", CHILDREN)
def test_a_deleted_child_comes_back(sample: Community, child: str) -> None:
    kind, name = _split(sample, child)
    before = sample.get(kind, name)["metadata"]["uid"]
    sample.cluster.kubectl("delete", kind, name, "-n", sample.namespace, "--wait=false")

    def restored() -> bool:
        metadata = sample.get(kind, name)["metadata"]
        return metadata["uid"] != before and "deletionTimestamp" not in metadata

    eventually(restored, RESTORED_SECONDS, what=f"{child} is back")


@pytest.mark.parametrize(("child", "path", "value"), EDITS, ids=[f"{child}:{path[-1]}" for child, path, _ in EDITS])
def test_an_edited_child_is_put_right(sample: Community, child: str, path: list[Any], value: Any) -> None:
    kind, name = _split(sample, child)
    wanted = _at(sample.get(kind, name), path)
    assert wanted != value
    pointer = "/" + "/".join(str(part) for part in path)
    patch = json.dumps([{"op": "add" if isinstance(path[-1], str) else "replace", "path": pointer, "value": value}])
    sample.cluster.kubectl("patch", kind, name, "-n", sample.namespace, "--type=json", "-p", patch)
    eventually(
        lambda: _at(sample.get(kind, name), path) == wanted,
        RESTORED_SECONDS,
        what=f"{child} {pointer} is {wanted} again",
    )


def test_a_deleted_secret_comes_back_with_the_same_values(sample: Community) -> None:
    name = f"{sample.name}-signing-key"
    before = sample.get("secret", name)
    sample.cluster.kubectl("delete", "secret", name, "-n", sample.namespace)
    after = eventually(lambda: sample.get("secret", name), SECRET_SECONDS, what="the Secret is back")
    assert after["data"] == before["data"], "everybody would be logged out otherwise"


def test_the_community_is_ready_again_after_all_of_it(sample: Community) -> None:
    sample.wait_ready(240)


def _split(sample: Community, child: str) -> tuple[str, str]:
    kind, _, suffix = child.partition("/")
    return kind, f"{sample.name}-{suffix}"


def _at(document: Any, path: list[Any]) -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else document[part]
    return document
