"""KEDA's ScaledObject in the place of the autoscaler by CPU, with KEDA's own definition of it in a real apiserver."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.waiting import eventually

from bapsang_operator.build.autoscale import PAUSED

from .controlplane import NAMESPACED_USER, ControlPlane
from .world import (
    BINDINGS,
    ROLES,
    Client,
    Namespace,
    Object,
    Operator,
    bind,
    install_crd,
    remove_crd,
    rules,
)

NAME = "c-api-burst"
REQUESTS: dict[str, Any] = {"prometheusUrl": "http://prometheus.monitoring:9090", "requestsPerPod": 50}


def ask(namespace: Namespace, keda: object = REQUESTS, **spec: object) -> None:
    namespace.patch("Community", "c", {"spec": {"api": {"autoscaling": {"keda": keda}}, **spec}})


def scaled_by(namespace: Namespace, kind: str) -> Object:
    """Wait until the burst tier has an autoscaler of this kind and none of the other; return it."""
    (other,) = {"ScaledObject", "HorizontalPodAutoscaler"} - {kind}
    eventually(lambda: namespace.get(other, NAME) is None, what=f"no {other}")
    return eventually(lambda: namespace.get(kind, NAME), what=kind) or {}


def test_a_scaled_object_comes_and_goes_as_the_spec_says(namespace: Namespace, operator: Operator, keda: None) -> None:
    namespace.community()
    namespace.bring_up()
    scaled_by(namespace, "HorizontalPodAutoscaler")
    ask(namespace)
    found = scaled_by(namespace, "ScaledObject")
    assert [trigger["type"] for trigger in found["spec"]["triggers"]] == ["cpu", "prometheus"]
    assert namespace.wait_for("Degraded", "False")
    writes = operator.writes()
    namespace.patch("Community", "c", {"metadata": {"annotations": {"looked": "at"}}})
    ask(namespace, REQUESTS | {"requestsPerPod": 60})
    eventually(lambda: threshold(namespace) == "60")
    assert operator.writes() == writes + 2, "the ScaledObject and the status' generation, and nothing twice"
    namespace.patch("ScaledObject", NAME, {"spec": {"maxReplicaCount": 99}})
    eventually(lambda: (namespace.get("ScaledObject", NAME) or {})["spec"]["maxReplicaCount"] == 10, what="undone")
    namespace.delete("ScaledObject", NAME)
    eventually(lambda: namespace.get("ScaledObject", NAME), what="it is back")
    ask(namespace, None)
    scaled_by(namespace, "HorizontalPodAutoscaler")


def threshold(namespace: Namespace) -> str:
    found = namespace.get("ScaledObject", NAME) or {}
    return str(found["spec"]["triggers"][1]["metadata"]["threshold"])


def test_a_community_that_sleeps_is_left_alone_by_keda(namespace: Namespace, operator: Operator, keda: None) -> None:
    namespace.community(api={"autoscaling": {"keda": REQUESTS}})
    namespace.bring_up()
    ask(namespace, hibernate=True)
    eventually(lambda: paused(namespace) == "0", what="KEDA keeps it asleep")
    ask(namespace, hibernate=False)
    eventually(lambda: paused(namespace) is None, what="KEDA scales it again")


def paused(namespace: Namespace) -> str | None:
    """Let what was begun go on, and return how many pods KEDA is told to keep."""
    namespace.play_controllers()
    found = namespace.get("ScaledObject", NAME) or {}
    count: str | None = found["metadata"]["annotations"].get(PAUSED)
    return count


def test_keda_that_is_missing_is_told_and_cpu_scales_until_it_comes(
    namespace: Namespace, operator: Operator, client: Client, keda_crd: Path
) -> None:
    namespace.community(api={"autoscaling": {"keda": REQUESTS}})
    namespace.bring_up()
    told = namespace.wait_for("Degraded", "True", "KedaMissing")["message"]
    assert "install KEDA" in told
    scaled_by(namespace, "HorizontalPodAutoscaler")
    install_crd(client, keda_crd)
    try:
        scaled_by(namespace, "ScaledObject")
        namespace.wait_for("Degraded", "False")
    finally:
        remove_crd(client, "scaledobjects.keda.sh")
    eventually(lambda: namespace.get("HorizontalPodAutoscaler", NAME), what="CPU scales again")
    namespace.wait_for("Degraded", "True", "KedaMissing")


def test_an_operator_without_the_rights_says_what_to_switch_on(
    namespace: Namespace, operator: Operator, client: Client, control_plane: ControlPlane, keda: None, tmp_path: Path
) -> None:
    for found in (rules(), rules(namespaced=True)):
        bind(client, ROLES, BINDINGS, namespace.name, found, NAMESPACED_USER)
    settings = {"BAPSANG_NAMESPACE": namespace.name}
    narrow = Operator(control_plane.namespaced, tmp_path / "log", settings, ("--namespace", namespace.name))
    operator.stop()
    try:
        narrow.start()
        namespace.community(api={"autoscaling": {"keda": REQUESTS}})
        namespace.bring_up()
        assert "keda.enabled" in namespace.wait_for("Degraded", "True", "KedaMissing")["message"]
        scaled_by(namespace, "HorizontalPodAutoscaler")
        assert "forbidden" not in narrow.log.read_text().lower()
    finally:
        narrow.stop()
        operator.start()
    eventually(lambda: operator.leads, 40)
