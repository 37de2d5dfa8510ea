"""Whatever is deleted or edited by hand comes back within seconds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import Community, eventually

RESTORED_SECONDS = 10
SECRET_SECONDS = 60  # Secrets are never watched, only asked for by name from time to time

# On the real cluster one of each sort that something else works on too: a controller, the autoscaler, the network.
# Every child, and what can be edited in it, is tried on an apiserver alone: tests/integration/operator/test_restoring.py.
CHILDREN = ["deployment/api-base", "hpa/api-burst", "networkpolicy/mysql"]

EDITS: list[tuple[str, list[Any], Any]] = [
    ("deployment/api-base", ["spec", "template", "spec", "containers", 0, "image"], "example.com/wrong:1"),
    ("hpa/api-burst", ["spec", "maxReplicas"], 99),
    ("networkpolicy/redis", ["spec", "ingress"], [{}]),
]


@pytest.fixture(scope="module", autouse=True)
def ready_again(sample: Community) -> Iterator[None]:
    yield
    sample.wait_ready(240)


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


def _split(sample: Community, child: str) -> tuple[str, str]:
    kind, _, suffix = child.partition("/")
    return kind, f"{sample.name}-{suffix}"


def _at(document: Any, path: list[Any]) -> Any:
    for part in path:
        document = document.get(part) if isinstance(document, dict) else document[part]
    return document
