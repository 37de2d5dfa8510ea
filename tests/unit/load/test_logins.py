"""What is computed of runs with logins and refreshes beside them: the cost of one, and what reading notices."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.load.bench import logins, sessions
from tests.load.bench.histogram import Histogram
from tests.load.bench.outcome import Outcome
from tests.load.bench.scenario import PEAK
from tests.load.versions import Pairs


def run(p99: float, vcpu: float) -> dict[str, float]:
    return {"read_p99_ms": p99, "write_p99_ms": p99, "vcpu": vcpu, "errors": 0, "others": 0.5}


def test_a_rate_of_logins_is_compared_with_the_mix_alone_pair_by_pair() -> None:
    pairs = Pairs()
    for number, drift in enumerate((1.0, 2.0, 4.0)):  # the machine gets slower: both notice
        pairs.add(number, lambda at, drift=drift: run(drift * (24 if at else 20), 0.8 + at * 0.3))  # type: ignore[misc]
    outcome = Outcome(Histogram({200: 300}), Histogram({100: 90}), Counter({"201": 300, "503": 90}), Counter(timeout=2))
    found: dict[str, Any] = logins.row(50, pairs, outcome, seconds=60)
    assert (found["rate"], found["per_second"], found["refused"]) == (50, 5.0, 90)
    assert (found["errors"], found["by"]) == (2, {"timeout": 2})  # who was refused is no error here
    assert found["read_p99_over_alone"] == {"median": 1.2, "low": 1.2, "high": 1.2}
    assert found["vcpu"] == pytest.approx(0.3)
    assert found["ms_a_login"] == pytest.approx(1000 * 0.3 * 60 / 300)


def test_without_a_class_the_others_come_as_often_as_before() -> None:
    whole, everything = logins.without(rate=PEAK)
    rate, requests = logins.without("login", "refresh", rate=PEAK)
    assert rate == pytest.approx(PEAK * (1 - 150 / 1543), rel=1e-3)
    before = {request.name: whole * share for request, share in everything}
    sums = sum(share for _, share in requests)
    assert {request.name: rate * share / sums for request, share in requests} == pytest.approx(
        {name: often for name, often in before.items() if name not in ("login", "refresh")}
    )


def test_what_a_refresh_adds_is_freed_of_the_other_requests_that_came_by_chance() -> None:
    """0.5 ms each of the others, 4 ms a refresh, 40 ms a login; in each run as many others as happened to come."""

    def of(others: int, refreshes: int, logins_: int) -> dict[str, float]:
        spent = 0.0005 * others + 0.004 * refreshes + 0.04 * logins_
        return {"requests": others + refreshes + logins_, "refresh": refreshes, "login": logins_, "api_s": spent}

    samples = {
        "without sessions": [of(1_000, 0, 0), of(900, 0, 0)],
        "with refreshes": [of(1_100, 100, 0), of(900, 100, 0)],
        "with both": [of(1_100, 100, 10), of(900, 100, 10)],
    }
    found = sessions.summary(samples)
    assert found["added_api_ms"]["refresh"] == {"median": 4.0, "low": 4.0, "high": 4.0}
    assert found["added_api_ms"]["login"]["median"] == pytest.approx(40)
    assert found["with both"]["login"] == 10
