"""The bench's pure parts: times, scenarios, and the oracles that say whether likes are exact."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from tests.load.bench import flush, hot, mix, routes, scenario, tables
from tests.load.bench.flush import Toggle
from tests.load.bench.histogram import Histogram, highest
from tests.load.bench.outcome import Outcome, Run


def bucket(value: int) -> int:
    """Return the lowest value of a value's bucket, as generator/histogram.go says."""
    shift = max(0, value.bit_length() - 8)
    return value >> shift << shift


def histogram(values: list[int]) -> Histogram:
    return Histogram(dict(Counter(map(bucket, values))))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999, 1.0])
def test_a_quantile_is_at_most_a_128th_above_the_exact_one_and_never_below(share: float) -> None:
    values = [int(random.Random(seed).lognormvariate(9, 2)) for seed in range(5_000)]
    exact = sorted(values)[max(0, -int(-share * len(values) // 1) - 1)]
    found = histogram(values).quantile(share)
    assert found is not None
    assert exact <= found <= exact * (1 + 1 / 128) + 1


def test_a_bucket_ends_where_the_next_begins() -> None:
    lowest = [bucket(value) for value in range(100_000)]
    for value, one in enumerate(lowest[:-1]):
        assert highest(one) >= value
        if lowest[value + 1] != one:
            assert highest(one) == value


def test_of_nothing_there_is_no_quantile() -> None:
    assert Histogram().milliseconds() == {"n": 0, **dict.fromkeys(("p50", "p90", "p99", "p99.9", "max"))}


def test_merged_histograms_hold_all_values() -> None:
    first, second = histogram([1, 1, 700]), histogram([1, 9_000])
    assert Histogram.merged([first, second]) == histogram([1, 1, 700, 1, 9_000])


def outcome(good: list[int], refused: list[int] | None = None, **failures: int) -> Outcome:
    return Outcome(histogram(good), histogram(refused or []), Counter({"503": len(refused or [])}), Counter(failures))


def run_of(**classes: Outcome) -> Run:
    return Run(0.0, 1.0, 0, 0.0, Histogram(), {name: [one] for name, one in classes.items()}, {})


def test_whatever_is_no_expected_answer_is_an_error() -> None:
    whole = Outcome.merged([outcome([5_000] * 98), outcome([], [100], timeout=1)])
    assert (whole.good, whole.errors, whole.requests) == (98, 2, 100)
    assert whole.kinds() == {"503": 1, "timeout": 1}
    assert whole.p99() == pytest.approx(5, rel=0.01)
    assert outcome([], timeout=3).p99() == float("inf")


def test_a_report_of_the_generator_is_read_by_class_and_window() -> None:
    window = {"statuses": {"200": 2}, "failures": {}, "latency": [[100, 2]], "refused_latency": []}
    report = {"started": 1.0, "counted": 2.0, "sent": 5, "cpu_us": 10, "lag": [], "tallies": {"toggle": [1, 0]}}
    run = Run.of({**report, "classes": {"list": [window, window], "toggle": [window]}})
    assert run.outcome().good == 6
    assert run.outcome("list", "absent").good == 4
    assert run.window(1, 2).good == 2
    assert run.rate == 3.0


def test_the_mix_has_the_shares_of_the_contract() -> None:
    shares = {request.name: share for request, share in scenario.mix()}
    total = scenario.READS + scenario.WRITES + scenario.INTERACTIONS
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["detail"] == pytest.approx(5 * shares["list"])
    assert shares["scroll"] == pytest.approx(shares["list"])
    reading = (*scenario.READ_CLASSES[:3], *scenario.AUTH_CLASSES)
    assert sum(shares[name] for name in reading) * total == pytest.approx(scenario.READS)
    assert [shares[name] * total for name in ("refresh", "login", "list")] == pytest.approx([145, 5, 150])
    assert shares["toggle_hot"] / (shares["toggle"] + shares["toggle_hot"]) == pytest.approx(0.3, abs=0.01)
    assert 1.5 * total <= scenario.PEAK == 2_315


def test_a_scenario_names_the_lists_that_its_templates_use(tmp_path: Path) -> None:
    document = scenario.document(
        scenario.opened(scenario.mix(), rate=10, seconds=5, warmup=1), ["127.0.0.1:1"], scenario.Lists(tmp_path)
    )
    assert set(document["lists"]) == {"people", "posts", "hot", "own", "cursors", "sessions", "emails"}
    assert document["lists"]["posts"] == {"file": str(tmp_path / "posts.txt"), "zipf": 1.0}
    assert (document["seconds"], document["warmup"]) == (6, 1)
    # A refresh token works once: the mix must never send one that is on its way already, or was exchanged.
    assert document["lists"]["sessions"]["order"] == "exclusive"
    # Everybody in the mix has a token, or gets one.
    without = {one["class"] for one in document["requests"] if "Authorization" not in one["headers"]}
    assert without == set(scenario.AUTH_CLASSES)


def test_a_request_that_is_never_sent_is_left_out(tmp_path: Path) -> None:
    both = [(scenario.HEALTH, 1.0), (scenario.LOGIN, 0.0)]
    document = scenario.document(scenario.closed(both, connections=1, seconds=1), ["a:1"], scenario.Lists(tmp_path))
    assert [one["class"] for one in document["requests"]] == ["health"]


@pytest.mark.parametrize(("limit", "found"), [(90, 50), (100, 100), (260, 250), (1_000, 400)])
def test_the_ramp_ends_at_the_highest_rate_that_holds(limit: float, found: float) -> None:
    asked: list[float] = []

    def holds(rate: float) -> bool:
        asked.append(rate)
        return rate <= limit

    assert mix.climb(holds, [100, 200, 300, 400], halvings=1) == found
    assert len(asked) <= 5


def test_levels_are_kept_only_without_errors() -> None:
    quick, slow = outcome([1_000] * 100), outcome([1_000] * 98 + [600_000] * 2)
    best = dict.fromkeys(("detail", "toggle", "refresh", "login"), quick)

    def held(**worse: Outcome) -> bool:
        return mix.within(run_of(**{**best, **worse}))

    assert held()
    assert held(toggle=slow)  # p99 of 600 ms is allowed to a write
    assert held(login=slow)  # and to a login
    assert not held(detail=slow)
    assert not held(login=outcome([1_000] * 49 + [300_000] * 51))  # p50 of 300 ms is not
    assert not held(login=outcome([1_000] * 98 + [900_000] * 2))  # and many quick refreshes do not hide it
    assert not held(refresh=replace(quick, failures=Counter(timeout=1)))


def test_whoever_toggled_an_odd_number_of_times_has_changed_sides() -> None:
    assert hot.oracle({"a", "b"}, ["a", "b", "c", "d"], [1, 2, 3, 0]) == {"b", "c"}


FLUSH = (1_000, 1_100)


def judged(*toggles: tuple[int, int, int], start: bool, end: bool) -> flush.Verdict:
    """Judge one pair by (due, ended, status) of its toggles, and whether the row was there before and is there now."""
    found = {("post", 0): [Toggle(*one, user=0, post=0) for one in toggles]}
    pair = {("post", "user")}
    return flush.judge(found, FLUSH, pair if start else set(), pair if end else set(), ["user"])


def test_what_was_not_written_back_is_lost_with_redis_and_nothing_else() -> None:
    before, after = (10, 20, 204), (1_200, 1_300, 204)
    assert judged(before, start=False, end=False).wrong == []
    assert judged(before, start=False, end=False).lost_with_redis == 1
    assert judged(before, start=False, end=True).wrong  # came back from nowhere
    assert judged(before, after, start=False, end=True).wrong == []
    assert judged(after, start=False, end=False).wrong  # answered after the flush, and lost
    assert judged(after, after, start=True, end=True).wrong == []


@pytest.mark.parametrize("doubtful", [(900, 1_050, 204), (1_050, 1_500, 204), (10, 20, 0), (1_200, 1_300, 503)])
def test_a_toggle_across_the_flush_or_without_an_answer_leaves_its_pair_in_doubt(
    doubtful: tuple[int, int, int],
) -> None:
    for end in (False, True):
        verdict = judged(doubtful, start=False, end=end)
        assert (verdict.in_doubt, verdict.wrong) == (1, [])


def test_the_log_of_toggles_tells_posts_and_people(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("toggle\t1\t2\t204\t1\t7\ntoggle_hot\t3\t4\t0\t0\t7\ntoggle\t5\t6\t204\t1\t7\n")
    found = flush.read_log(log, ["hot"], ["a", "b"])
    assert {pair: [one.due for one in toggles] for pair, toggles in found.items()} == {
        ("b", 7): [1, 5],
        ("hot", 7): [3],
    }


def test_costs_are_compared_within_a_round() -> None:
    ours = [{"api": 100.0, "mysql": 10.0, "redis": 10.0}, {"api": 200.0, "mysql": 20.0, "redis": 20.0}]
    usual = [{"api": 500.0, "mysql": 50.0, "redis": 50.0}, {"api": 1_000.0, "mysql": 100.0, "redis": 100.0}]
    assert routes.ratio(usual, ours) == {"median": 5.0, "low": 5.0, "high": 5.0}
    noop = [{"api": 60.0}, {"api": 120.0}]
    assert routes.summary(ours, noop)["api_above_noop"] == {"median": 60.0, "low": 40.0, "high": 80.0}


def test_a_table_is_markdown_with_columns_that_line_up() -> None:
    lines = tables.table("title", ["밥상", "n"], [["a", 1_234], ["bcdef", None]]).splitlines()[3:]
    assert lines == ["| 밥상  |     n |", "|-------|------:|", "| a     | 1,234 |", "| bcdef |     – |"]
