"""Windows that open by the clock: against brute force, through summer time, and what conditions say of them."""

from __future__ import annotations

import copy
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapsang_operator.conditions import paused, prewarmed, progressing
from bapsang_operator.conditions.condition import Condition
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Reason
from bapsang_operator.planning import plan, prewarm, progress
from bapsang_operator.resource import Community, parse

from .world import Cluster, children, community, condition_of, reasons_of, resource, status_of

SEOUL, NEW_YORK, BERLIN = (ZoneInfo(name) for name in ("Asia/Seoul", "America/New_York", "Europe/Berlin"))
#: Around the days on which clocks change in New York and Berlin, and an ordinary one.
DAYS = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 8), (3, 29), (10, 25), (11, 1), (6, 15))]


def _window(**changes: Any) -> dict[str, Any]:
    window = {"name": "dinner", "schedule": "30 17 * * *", "timeZone": "Asia/Seoul", "duration": "2h", "replicas": 8}
    return {key: value for key, value in (window | changes).items() if value is not None}


def _community(*windows: dict[str, Any], **changes: Any) -> Community:
    return community(prewarm=list(windows), **changes)


def _floor(wanted: Community, now: datetime) -> int:
    return prewarm.with_windows(wanted, now).api.burst.min_replicas


def _autoscaler(wanted: Community) -> Any:
    return next(child.manifest for child in children(wanted) if child.key.kind == "HorizontalPodAutoscaler")["spec"]


@pytest.mark.parametrize(
    ("hour", "minute", "floor"), [(17, 29, 1), (17, 30, 8), (19, 29, 8), (19, 30, 1), (0, 0, 1), (23, 59, 1)]
)
def test_window_opens_and_shuts_to_the_minute(hour: int, minute: int, floor: int) -> None:
    now = datetime(2026, 11, 23, hour, minute, tzinfo=SEOUL)
    wanted = _community(_window())
    assert _floor(wanted, now) == floor
    assert _autoscaler(prewarm.with_windows(wanted, now))["minReplicas"] == floor


def test_window_over_midnight_is_open_on_both_sides() -> None:
    wanted = _community(_window(schedule="0 23 * * *", duration="3h"))
    assert _floor(wanted, datetime(2026, 11, 23, 23, 30, tzinfo=SEOUL)) == 8
    assert _floor(wanted, datetime(2026, 11, 24, 1, 59, tzinfo=SEOUL)) == 8
    assert _floor(wanted, datetime(2026, 11, 24, 2, 0, tzinfo=SEOUL)) == 1


def test_single_window_opens_once() -> None:
    wanted = _community(_window(schedule=None, at="2026-11-27T11:45:00+09:00", duration="90m"))
    opens = datetime(2026, 11, 27, 2, 45, tzinfo=UTC)
    assert prewarm.next_change(wanted, opens - timedelta(days=3)) == opens
    assert _floor(wanted, opens) == 8
    assert prewarm.next_change(wanted, opens) == opens + timedelta(minutes=90)
    assert _floor(wanted, opens + timedelta(minutes=90)) == 1
    assert prewarm.next_change(wanted, opens + timedelta(minutes=90)) is None


def test_highest_of_several_open_windows_counts_and_never_exceeds_the_ceiling() -> None:
    low, high = _window(replicas=3), _window(name="sale", replicas=6)
    now = datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL)
    assert _floor(_community(low, high), now) == 6
    assert _floor(_community(low, high, api={"burst": {"minReplicas": 7}}), now) == 7
    assert _floor(_community(low, high, api={"burst": {"maxReplicas": 4}}), now) == 4


@pytest.mark.parametrize(
    ("zone", "day", "schedule", "starts"),
    [
        # 2:30 does not exist on this day: the window opens right after the skipped hour.
        (NEW_YORK, date(2026, 3, 8), "30 2 * * *", [datetime(2026, 3, 8, 7, 0, tzinfo=UTC)]),
        # 1:30 happens twice on this one: the window opens once, at the first.
        (NEW_YORK, date(2026, 11, 1), "30 1 * * *", [datetime(2026, 11, 1, 5, 30, tzinfo=UTC)]),
        (BERLIN, date(2026, 10, 25), "30 17 * * *", [datetime(2026, 10, 25, 16, 30, tzinfo=UTC)]),
        (BERLIN, date(2026, 10, 24), "30 17 * * *", [datetime(2026, 10, 24, 15, 30, tzinfo=UTC)]),
    ],
)
def test_starts_follow_the_wall_clock(zone: ZoneInfo, day: date, schedule: str, starts: list[datetime]) -> None:
    wanted = _community(_window(schedule=schedule, timeZone=zone.key, duration="10m"))
    now, end = (datetime.combine(found, time(), zone).astimezone(UTC) for found in (day, day + timedelta(days=1)))
    seen = []
    while (change := prewarm.next_change(wanted, now)) is not None and change < end:
        if _floor(wanted, change) == 8:
            seen.append(change)
        now = change
    assert seen == starts


def _brute(minutes: int, hours: set[int], minute: int, zone: ZoneInfo, now: datetime) -> bool:
    """Whether any minute of the last `minutes` shows the wall clock of a start (no clock change near)."""
    walls = ((now - timedelta(minutes=back)).astimezone(zone) for back in range(minutes))
    return any(wall.hour in hours and wall.minute == minute for wall in walls)


@settings(max_examples=150, deadline=None)
@given(
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=4),
    minute=st.integers(0, 59),
    minutes=st.integers(1, 300),
    zone=st.sampled_from([SEOUL, NEW_YORK, BERLIN]),
    offset=st.integers(0, 24 * 60 - 1),
)
def test_window_is_open_exactly_for_its_duration_after_each_start(
    hours: set[int], minute: int, minutes: int, zone: ZoneInfo, offset: int
) -> None:
    schedule = f"{minute} {','.join(map(str, sorted(hours)))} * * *"
    wanted = _community(_window(schedule=schedule, timeZone=zone.key, duration=f"{minutes}m"))
    now = DAYS[-1] + timedelta(minutes=offset)
    assert (_floor(wanted, now) == 8) is _brute(minutes, hours, minute, zone, now)


@settings(max_examples=150, deadline=None)
@given(
    day=st.sampled_from(DAYS),
    zone=st.sampled_from([SEOUL, NEW_YORK, BERLIN]),
    offset=st.integers(0, 24 * 3600 - 1),
    schedule=st.sampled_from(["30 1 * * *", "15 2 * * *", "0 3 * * *", "*/20 * * * *", "0 */2 * * sun", "@daily"]),
    duration=st.sampled_from(["5m", "20m", "90m", "24h"]),
)
def test_nothing_changes_before_the_next_change_and_something_does_then(
    day: datetime, zone: ZoneInfo, offset: int, schedule: str, duration: str
) -> None:
    wanted = _community(_window(schedule=schedule, timeZone=zone.key, duration=duration))
    now = day + timedelta(seconds=offset)
    before = _floor(wanted, now)
    change = prewarm.next_change(wanted, now)
    if change is None:
        assert before == 8, "only a window that never shuts has no next change"
        return
    assert change > now
    for part in (0.1, 0.5, 0.9):
        assert _floor(wanted, now + (change - now) * part) == before
    assert _floor(wanted, change - timedelta(seconds=1)) == before
    assert _floor(wanted, change) != before


@pytest.mark.parametrize(
    "fault", [{"schedule": "0 0 31 2 *"}, {"schedule": "0 5-1 * * *"}, {"timeZone": "Mars/Crater"}]
)
def test_window_that_cannot_be_followed_is_named_and_opens_never(fault: dict[str, str]) -> None:
    wanted = _community(_window(**fault))
    now = datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL)
    (sentence,) = prewarm.unusable(wanted, now)
    assert '"dinner" never opens' in sentence
    assert _floor(wanted, now) == 1
    assert prewarm.next_change(wanted, now) is None


def _told(wanted: Community, now: datetime) -> Condition:
    warmed = prewarm.with_windows(wanted, now)
    return prewarmed.of_windows(warmed, prewarm.openings(warmed, now))


def test_condition_says_which_window_and_until_when_in_its_own_time() -> None:
    wanted = _community(_window(), _window(name="late", schedule="0 22 * * *", replicas=3))
    told = _told(wanted, datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL))
    assert (told.status, told.reason) == ("True", Reason.WINDOW_OPEN)
    assert told.message == ('The burst tier has at least 8 pods. Open: window "dinner" until 2026-11-23T19:30+09:00.')
    told = _told(wanted, datetime(2026, 11, 23, 20, 0, tzinfo=SEOUL))
    assert told.message == 'No window is open. Next: "late" at 2026-11-23T22:00+09:00, 3 pods.'
    told = _told(_community(_window(), hibernate=True), datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL))
    assert (told.status, told.message) == ("False", "spec.hibernate is set: no window opens.")


def test_condition_does_not_claim_a_floor_that_the_live_autoscaler_does_not_have() -> None:
    wanted = _community(_window())
    opened = datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL)
    cluster = Cluster(prewarm.with_windows(wanted, opened))
    windows = prewarm.openings(cluster.community, opened)

    def told() -> Manifest:
        return condition_of(status_of(cluster, windows=windows), "Prewarmed")

    assert (told()["status"], told()["reason"]) == ("False", Reason.FLOOR_NOT_RAISED)
    assert told()["message"] == (
        "The burst tier has no autoscaler instead of a floor of 8: see Progressing. "
        'Open: window "dinner" until 2026-11-23T19:30+09:00.'
    )
    cluster.bring_up()
    assert told()["status"] == "True"
    up = status_of(cluster, windows=windows)
    cluster.at("HorizontalPodAutoscaler", "c-api-burst")["spec"]["minReplicas"] = 7
    assert "has a floor of 7 pods instead of a floor of 8" in told()["message"]
    assert reasons_of(up, status_of(cluster, up, windows=windows)) == []


def test_condition_names_every_open_window_and_says_when_one_never_shuts() -> None:
    wanted = _community(_window(), _window(name="all day", schedule="* * * * *", duration="60m"))
    assert _told(wanted, datetime(2026, 11, 23, 18, 0, tzinfo=SEOUL)).message == (
        'The burst tier has at least 8 pods. Open: window "dinner" until 2026-11-23T19:30+09:00; '
        '"all day" without an end, since it opens again before it closes.'
    )
    told = _told(_community(_window(schedule=None, at="2026-11-01T00:00:00Z")), datetime(2026, 11, 23, tzinfo=UTC))
    assert (told.status, told.message) == ("False", "No window is open, and none will open.")


@pytest.mark.parametrize(
    ("word", "starts"),
    [
        ("@hourly", datetime(2026, 11, 23, 11, 0, tzinfo=UTC)),
        ("@daily", datetime(2026, 11, 24, tzinfo=UTC)),
        ("@midnight", datetime(2026, 11, 24, tzinfo=UTC)),
        ("@weekly", datetime(2026, 11, 29, tzinfo=UTC)),
        ("@monthly", datetime(2026, 12, 1, tzinfo=UTC)),
        ("@yearly", datetime(2027, 1, 1, tzinfo=UTC)),
        ("@annually", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
def test_words_stand_for_the_schedules_that_cron_gives_them(word: str, starts: datetime) -> None:
    wanted = _community(_window(schedule=word, timeZone="UTC", duration="1m"))
    now = datetime(2026, 11, 23, 10, 30, tzinfo=UTC)
    assert prewarm.next_change(wanted, now) == starts


def test_condition_stays_the_same_while_a_window_stays_open() -> None:
    every_minute = _community(_window(schedule="* * * * *", duration="60m"))
    for wanted in (every_minute, _community(_window())):
        messages = {
            _told(wanted, datetime(2026, 11, 23, 18, minute, second, tzinfo=SEOUL)).message
            for minute in range(0, 60, 7)
            for second in (0, 30)
        }
        assert len(messages) == 1


def _asleep(cluster: Cluster) -> Condition | None:
    wanted = cluster.community
    return progressing.hibernation(wanted, progress.observe(wanted, children(wanted), cluster.live))


def _scales(cluster: Cluster) -> list[plan.Scale]:
    return cluster.plan().scales


def test_hibernation_stops_both_tiers_and_waking_starts_them_with_the_floor() -> None:
    cluster = Cluster(community(api={"burst": {"minReplicas": 2}}))
    cluster.bring_up()
    assert _scales(cluster) == []
    cluster.community = community(api={"burst": {"minReplicas": 2}}, hibernate=True)
    cluster.step()
    assert cluster.at("Deployment", "c-api-base")["spec"]["replicas"] == 0
    assert cluster.at("CronJob", "c-like-sync")["spec"]["suspend"] is True
    (scale,) = _scales(cluster)
    assert scale.replicas == 0
    assert (_asleep(cluster) or paused.condition(cluster.community)).reason is Reason.HIBERNATING
    cluster.at("Deployment", "c-api-burst")["spec"]["replicas"] = 0
    cluster.settle()
    assert _scales(cluster) == []
    assert (_asleep(cluster) or paused.condition(cluster.community)).reason is Reason.HIBERNATED
    cluster.community = community(api={"burst": {"minReplicas": 2}})
    (scale,) = cluster.step().scales
    assert scale.replicas == 2
    assert cluster.at("Deployment", "c-api-base")["spec"]["replicas"] == 2


def test_count_of_pods_never_waits_for_a_migration() -> None:
    cluster = Cluster(community())
    cluster.bring_up()
    image = cluster.at("Deployment", "c-api-base")["spec"]["template"]["spec"]["containers"][0]["image"]
    for changes, count in (({"hibernate": True}, 0), ({"api": {"base": {"replicas": 5}}}, 5)):
        cluster.community = community(image="bapsang/api:0.2.0", **changes)
        cluster.step()
        base = copy.deepcopy(cluster.at("Deployment", "c-api-base"))
        assert base["spec"]["replicas"] == count
        assert base["spec"]["template"]["spec"]["containers"][0]["image"] == image
        assert not cluster.plan().applies


@pytest.mark.parametrize(
    ("value", "status"), [(None, "False"), ("false", "False"), ("", "False"), ("true", "True"), ("jane", "True")]
)
def test_pause_is_any_value_but_false_and_is_shown(value: str | None, status: str) -> None:
    found = resource()
    if value is not None:
        found["metadata"]["annotations"] = {"bapsang.dev/paused": value}
    told = paused.condition(parse(found))
    assert told.status == status
    assert status == "False" or f"({value})" in told.message
