"""Steady state writes nothing, also after a restart; and everything goes with the Community, also without an operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.waiting import eventually

from bapsang_operator.informer import health

from .client import Client
from .namespace import Namespace
from .process import Operator

#: Quantities that the apiserver gives back in another form.
RESOURCES = {"requests": {"cpu": "1000m", "memory": "0.5Gi"}, "limits": {"memory": "1024Mi"}}


@pytest.fixture(scope="module")
def up(client: Client, main_operator: Operator) -> Iterator[Namespace]:
    main_operator.lead()
    found = Namespace(client)
    found.community(api={"base": {"resources": RESOURCES}})
    found.bring_up()
    eventually(lambda: found.events("RolloutCompleted"))
    rounds(main_operator, 1)
    yield found
    found.leave()


def _secret_reads(operator: Operator) -> float:
    lines = operator.admin("/metrics").text.splitlines()
    wanted = 'bapsang_operator_api_requests_total{code="200",kind="Secret",verb="get"}'
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


def rounds(operator: Operator, count: int) -> None:
    """Wait until the three Secrets of a Community were looked at again `count` times."""
    before = _secret_reads(operator)
    eventually(lambda: _secret_reads(operator) >= before + 3 * count, 120, "resync", pause=0.2)


def test_steady_state_writes_nothing(up: Namespace, operator: Operator) -> None:
    versions, writes = up.versions(), operator.writes()
    rounds(operator, 3)
    assert operator.writes() == writes
    assert up.versions() == versions
    assert "bapsang_operator_unsettled_applies_total{" not in operator.admin("/metrics").text


def test_restart_writes_nothing(up: Namespace, operator: Operator) -> None:
    versions = up.versions()
    operator.restart()
    rounds(operator, 3)
    assert operator.writes() == 0
    assert up.versions() == versions


def test_nothing_of_kopf_is_left_on_a_community(up: Namespace) -> None:
    metadata = (up.get("Community", "c") or {})["metadata"]
    assert "finalizers" not in metadata
    assert "annotations" not in metadata


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


def test_deleted_community_takes_every_child_along_with_no_operator_running(up: Namespace, operator: Operator) -> None:
    assert up.children()
    operator.rest()
    up.delete("Community", "c")
    eventually(lambda: not up.children(), 120, "no children left", pause=0.2)
