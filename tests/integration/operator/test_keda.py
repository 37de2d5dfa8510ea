"""KEDA's ScaledObject in the place of the autoscaler by CPU, with KEDA's own definition of it in a real apiserver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.waiting import eventually

from bapsang_operator.build.autoscale import PAUSED

from .client import Client, Object, install_crd, remove_crd
from .namespace import Namespace
from .process import Operator

NAME = "c-api-burst"
REQUESTS: dict[str, Any] = {"prometheusUrl": "http://prometheus.monitoring:9090", "requestsPerPod": 50}


def ask(namespace: Namespace, keda: object = REQUESTS, **spec: object) -> None:
    namespace.patch("Community", "c", {"spec": {"api": {"autoscaling": {"keda": keda}}, **spec}})


def scaled_by(namespace: Namespace, kind: str) -> Object:
    """Wait until the burst tier has an autoscaler of this kind and none of the other; return it."""
    (other,) = {"ScaledObject", "HorizontalPodAutoscaler"} - {kind}
    eventually(lambda: namespace.get(other, NAME) is None, what=f"no {other}")
    return eventually(lambda: namespace.get(kind, NAME), what=kind) or {}


# First, while nobody has installed KEDA.
def test_keda_that_is_missing_is_told_and_cpu_scales_until_it_comes(
    up: Namespace, operator: Operator, client: Client, keda_crd: Path
) -> None:
    ask(up)
    up.wait_for("Degraded", "True", "KedaMissing", saying=("install KEDA",))
    scaled_by(up, "HorizontalPodAutoscaler")
    install_crd(client, keda_crd)
    try:
        scaled_by(up, "ScaledObject")
        up.wait_for("Degraded", "False")
    finally:
        remove_crd(client, "scaledobjects.keda.sh")
    eventually(lambda: up.get("HorizontalPodAutoscaler", NAME), what="CPU scales again")
    up.wait_for("Degraded", "True", "KedaMissing")
    ask(up, None)
    up.wait_for("Degraded", "False")


def test_a_scaled_object_comes_and_goes_as_the_spec_says(up: Namespace, operator: Operator, keda: None) -> None:
    scaled_by(up, "HorizontalPodAutoscaler")
    ask(up)
    found = scaled_by(up, "ScaledObject")
    assert [trigger["type"] for trigger in found["spec"]["triggers"]] == ["cpu", "prometheus"]
    assert up.wait_for("Degraded", "False")
    eventually(lambda: is_current(up))
    writes = operator.writes()
    up.patch("Community", "c", {"metadata": {"annotations": {"looked": "at"}}})
    ask(up, REQUESTS | {"requestsPerPod": 60})
    eventually(lambda: threshold(up) == "60" and is_current(up))
    assert operator.writes() == writes + 2, "the ScaledObject and the status' generation, and nothing twice"
    up.patch("ScaledObject", NAME, {"spec": {"maxReplicaCount": 99}})
    eventually(lambda: (up.get("ScaledObject", NAME) or {})["spec"]["maxReplicaCount"] == 10, what="undone")
    up.delete("ScaledObject", NAME)
    eventually(lambda: up.get("ScaledObject", NAME), what="it is back")
    ask(up, None)
    scaled_by(up, "HorizontalPodAutoscaler")


def is_current(namespace: Namespace) -> bool:
    """Tell whether the status is that of the latest spec."""
    found = namespace.get("Community", "c") or {}
    current: bool = found["status"]["observedGeneration"] == found["metadata"]["generation"]
    return current


def threshold(namespace: Namespace) -> str:
    found = namespace.get("ScaledObject", NAME) or {}
    return str(found["spec"]["triggers"][1]["metadata"]["threshold"])


def test_a_community_that_sleeps_is_left_alone_by_keda(up: Namespace, operator: Operator, keda: None) -> None:
    ask(up)
    scaled_by(up, "ScaledObject")
    ask(up, hibernate=True)
    eventually(lambda: paused(up) == "0", what="KEDA keeps it asleep")
    ask(up, hibernate=False)
    eventually(lambda: paused(up) is None, what="KEDA scales it again")


def paused(namespace: Namespace) -> str | None:
    """Let what was begun go on, and return how many pods KEDA is told to keep."""
    namespace.play_controllers()
    found = namespace.get("ScaledObject", NAME) or {}
    count: str | None = found["metadata"]["annotations"].get(PAUSED)
    return count
