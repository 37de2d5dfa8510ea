"""A process that is far behind refuses until it has caught up."""

import pytest

from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.shedding import LATE_SECONDS, Kind, Shedder


def test_a_stall_that_is_over_refuses_nobody() -> None:
    shedder = Shedder(4, Metrics())
    shedder.note_delay(LATE_SECONDS + 1)
    shedder.enter(Kind.READ)


def test_a_backlog_refuses_everybody_until_it_is_gone() -> None:
    shedder = Shedder(4, Metrics())
    for _ in range(2):
        shedder.note_delay(LATE_SECONDS + 1)
    for kind in Kind:
        with pytest.raises(Unavailable):
            shedder.enter(kind)
    shedder.note_delay(0.0)
    shedder.enter(Kind.READ)
