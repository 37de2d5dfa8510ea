"""Secrets that several Communities read, or that lost their owner."""

from __future__ import annotations

import pytest
from tests.waiting import eventually

from .namespace import Namespace

pytestmark = pytest.mark.usefixtures("operator")


def test_secret_that_two_communities_read_stays_its_owners(namespace: Namespace) -> None:
    namespace.community("prod")
    namespace.finish_store("prod-mysql")
    namespace.finish_store("prod-redis")
    namespace.community("staging", auth={"signingKeySecretRef": {"name": "prod-signing-key"}})
    namespace.wait_for("Progressing", "True", name="staging")
    # Each change of either is a pass over it; the Secret is read anew every second.
    for size in range(2, 12):
        for name in ("staging", "prod"):
            found = namespace.patch("Community", name, {"spec": {"likeSync": {"batchSize": size}}})
            generation = found["metadata"]["generation"]

            def is_observed(name: str = name, generation: int = generation) -> bool:
                found = (namespace.get("Community", name) or {}).get("status", {})
                return bool(found.get("observedGeneration") == generation)

            eventually(is_observed)
    for name in ("prod", "staging"):
        assert namespace.condition("Degraded", name)["status"] == "False"
    assert namespace.events("ForeignObject") == []
