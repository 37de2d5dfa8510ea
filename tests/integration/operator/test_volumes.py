"""Volumes that cannot be as the spec says: told, while everything else goes on; and going back is no fault."""

from __future__ import annotations

from typing import Any

import pytest
from tests.waiting import eventually

from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")
NEW = "bapsang/api:0.2.0"


def _claim(namespace: Namespace) -> Any:
    return namespace.get("PersistentVolumeClaim", "c-redis")


def _persist(namespace: Namespace, **persistence: Any) -> None:
    namespace.patch("Community", "c", {"spec": {"redis": {"persistence": persistence}}})


def test_volume_that_cannot_grow_is_told_and_may_go_back_while_rollouts_go_on(namespace: Namespace) -> None:
    namespace.community()
    first = namespace.bring_up()
    bound = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    namespace.patch("PersistentVolumeClaim", "c-redis", {"status": bound}, "/status")
    _persist(namespace, size="2Gi")
    told = namespace.wait_for("Degraded", "True", "VolumeNotAsSpecified")["message"]
    assert "the storageclass that provisions the pvc must support resize" in told  # the apiserver's words
    namespace.wait_for("Progressing", "False", "VolumeNotAsSpecified")

    namespace.patch("Community", "c", {"spec": {"image": NEW}})
    namespace.finish_job(namespace.migration(other_than=first))
    namespace.wait_for("Progressing", "True", "RollingOutBase")
    eventually(lambda: (namespace.get("Deployment", "c-api-base") or {})["metadata"]["generation"] > 1)
    namespace.finish_rollout("c-api-base")
    namespace.wait_for("Progressing", "True", "RollingOutBurst")
    eventually(lambda: (namespace.get("Deployment", "c-api-burst") or {})["metadata"]["generation"] > 1)
    namespace.finish_rollout("c-api-burst")
    namespace.wait_for("Progressing", "False", "VolumeNotAsSpecified")

    _persist(namespace, size="1Gi")
    namespace.wait_for("Degraded", "False", "AsExpected")
    namespace.wait_for("Progressing", "False", "UpToDate")
    _persist(namespace, size="1Mi")
    namespace.wait_for(
        "Degraded",
        "True",
        "VolumeNotAsSpecified",
        saying=("asks for 1Gi, and spec.redis.persistence.size is less. The volume stays as it is",),
    )
    assert _claim(namespace)["spec"]["resources"]["requests"]["storage"] == "1Gi"


def test_class_that_does_not_exist_is_corrected_by_making_the_empty_claim_anew(namespace: Namespace) -> None:
    namespace.community(redis={"persistence": {"storageClassName": "tpyo"}})
    eventually(lambda: _claim(namespace))
    namespace.wait_for("Progressing", "True", "WaitingForDatabase")
    _persist(namespace, storageClassName="fast")
    namespace.wait_for(
        "Degraded",
        "True",
        "VolumeNotAsSpecified",
        saying=(f"nothing is lost: kubectl -n {namespace.name} delete pvc c-redis",),
    )
    assert namespace.condition("Progressing")["reason"] == "WaitingForDatabase"
    namespace.delete("PersistentVolumeClaim", "c-redis")
    eventually(lambda: (_claim(namespace) or {"spec": {}})["spec"].get("storageClassName") == "fast", 60)
    namespace.wait_for("Degraded", "False", "AsExpected")
