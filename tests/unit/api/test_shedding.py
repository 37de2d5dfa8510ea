"""A process that is behind refuses a share of what comes, until it keeps up."""

import pytest

from bapsang_api.http.shedding import LATE_SECONDS, Kind, Shedder
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable

MOST = 1_000


def refused(shedder: Shedder, requests: int = 100) -> int:
    """Return how many of these requests are refused; the others are answered at once."""
    count = 0
    for _ in range(requests):
        try:
            shedder.enter(Kind.READ)
        except Unavailable:
            count += 1
        else:
            shedder.leave(Kind.READ)
    return count


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def busy(metrics: Metrics) -> Shedder:
    shedder = Shedder(MOST, metrics)
    for _ in range(MOST // 2):
        shedder.enter(Kind.READ)
    return shedder


def late(shedder: Shedder, looks: int) -> None:
    for _ in range(looks):
        shedder.note_delay(LATE_SECONDS * 1.000001)


def test_a_stall_that_is_over_refuses_nobody(busy: Shedder) -> None:
    for _ in range(10):
        late(busy, 2)
        busy.note_delay(0.0)
    assert refused(busy) == 0


def test_the_longer_it_is_behind_the_more_is_refused_and_never_all(busy: Shedder) -> None:
    late(busy, 3)
    assert refused(busy) == pytest.approx(10, abs=1)
    late(busy, 3)
    assert refused(busy) == pytest.approx(40, abs=1)
    late(busy, 100)
    assert refused(busy) == pytest.approx(95, abs=1)


def test_the_later_it_is_the_faster_it_refuses(busy: Shedder) -> None:
    """Looks are late themselves: three of them may take a minute."""
    busy.note_delay(20 * LATE_SECONDS)
    assert refused(busy) == 0
    busy.note_delay(20 * LATE_SECONDS)
    assert refused(busy) == pytest.approx(95, abs=1)


def test_every_refusal_of_a_late_process_is_counted(metrics: Metrics, busy: Shedder) -> None:
    def counted() -> float:
        return metrics.registry.get_sample_value("bapsang_http_shed_total", {"kind": "read"}) or 0.0

    late(busy, 12)
    assert counted() == 0, "being late is no refusal"
    first = refused(busy)
    assert first > 0
    assert counted() == first
    second = refused(busy)
    assert counted() == first + second


def test_what_is_refused_falls_slowly_once_it_keeps_up(busy: Shedder) -> None:
    late(busy, 12)
    busy.note_delay(0.0)
    assert refused(busy) == pytest.approx(93, abs=1)
    for _ in range(100):
        busy.note_delay(0.0)
    assert refused(busy) == 0


def test_refusing_helps_nobody_where_there_is_no_queue() -> None:
    shedder = Shedder(MOST, Metrics())
    late(shedder, 100)
    assert refused(shedder) == 0


def test_each_kind_has_its_budget() -> None:
    shedder = Shedder(4, Metrics())
    for _ in range(2):
        shedder.enter(Kind.WRITE)
    with pytest.raises(Unavailable):
        shedder.enter(Kind.WRITE)
    for _ in range(4):
        shedder.enter(Kind.READ)
    with pytest.raises(Unavailable):
        shedder.enter(Kind.READ)
    shedder.leave(Kind.READ)
    shedder.enter(Kind.READ)
