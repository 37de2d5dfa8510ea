"""What hashing may take of the processors."""

import time
from collections.abc import Callable

from bapsang_api.auth.passwords import Budget


def work(seconds: float) -> None:
    """Work for so many seconds of CPU."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def interrupted() -> None:
    """Work as somebody does who gets every other turn of a processor."""
    for _ in range(5):
        work(0.002)
        time.sleep(0.002)


def seconds_of(job: Callable[[], None], budget: Budget, times: int) -> float:
    begun = time.monotonic()
    for _ in range(times):
        budget.run(job)
    return time.monotonic() - begun


def test_jobs_wait_until_what_was_taken_is_earned_again() -> None:
    assert seconds_of(lambda: work(0.01), Budget(0.25, 0.01), 4) >= (3 * 0.01 - 0.01) / 0.25


def test_who_waits_for_a_processor_is_charged_for_it() -> None:
    """So that fewer are let in where others need the processors."""
    charged = (3 * 0.02 - 0.01) / 0.25
    assert seconds_of(interrupted, Budget(0.25, 0.01), 4) >= charged


def test_who_waits_for_long_is_charged_for_twice_the_work() -> None:
    """So that some are let in however much others have to do."""
    budget = Budget(0.25, 0.0)
    budget.run(lambda: time.sleep(0.4))
    assert budget._left > -0.1
