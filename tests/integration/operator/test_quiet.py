"""Steady state writes nothing, also after a restart; and everything goes with the Community, also without an operator."""

from __future__ import annotations

import pytest
from tests.waiting import eventually

from bapsang_operator import health

from .world import Namespace, Operator


def _secret_reads(operator: Operator) -> float:
    lines = operator.admin("/metrics").text.splitlines()
    wanted = 'bapsang_operator_api_requests_total{code="200",kind="Secret",verb="get"}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def rounds(operator: Operator, count: int) -> None:
    """Wait until the three Secrets of a Community were looked at again `count` times."""
    before = _secret_reads(operator)
    eventually(lambda: _secret_reads(operator) >= before + 3 * count, 40, "resync")


def test_steady_state_writes_nothing(namespace: Namespace, operator: Operator) -> None:
    namespace.community(
        api={"base": {"resources": {"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"memory": "1024Mi"}}}}
    )
    namespace.bring_up()
    eventually(lambda: namespace.events("RolloutCompleted"))
    rounds(operator, 1)
    versions, writes = namespace.versions(), operator.writes()
    rounds(operator, 3)
    assert operator.writes() == writes
    assert namespace.versions() == versions
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text


def test_restart_writes_nothing(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    eventually(lambda: namespace.events("RolloutCompleted"))
    rounds(operator, 1)
    versions = namespace.versions()
    operator.restart()
    rounds(operator, 3)
    assert operator.writes() == 0
    assert namespace.versions() == versions


def test_nothing_of_kopf_is_left_on_a_community(namespace: Namespace, operator: Operator) -> None:
    namespace.community()
    namespace.bring_up()
    metadata = (namespace.get("Community", "c") or {})["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


def test_deleted_community_takes_every_child_along_with_no_operator_running(
    namespace: Namespace, operator: Operator
) -> None:
    namespace.community()
    namespace.bring_up()
    operator.stop()
    try:
        namespace.delete("Community", "c")
        eventually(lambda: not namespace.children(), 30, "no children left")
    finally:
        operator.start()


def test_check_of_the_chart_tells_a_live_operator_from_none(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health.check(f"http://127.0.0.1:{operator.port}/") == 0
    assert capsys.readouterr().out == "/livez: ok\n/readyz: ok\n"
    assert health.check("http://127.0.0.1:1") == 1
    assert "refused" in capsys.readouterr().out


def test_health_and_metrics_tell_of_the_watches(operator: Operator) -> None:
    assert operator.admin("/livez").status_code == 200
    assert operator.admin("/readyz").status_code == 200
    text = operator.admin("/metrics").text
    for kind in ("Community", "Pod", "Deployment", "Ingress"):
        assert f'bapsang_operator_watch_age_seconds{{kind="{kind}"}}' in text
