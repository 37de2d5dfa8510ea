"""What is said of containers that have ended: sentences of our own, and never a word of a program that was given secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bapsang_api import endings as api
from bapsang_api.kit import tls
from bapsang_api.settings import Settings, SettingsError
from bapsang_operator import problem
from bapsang_operator.cli import view
from bapsang_operator.conditions import events
from bapsang_operator.manifest import Key
from bapsang_operator.names import Component
from bapsang_operator.planning import progress
from bapsang_operator.problems import endings, workloads

from .test_build import KNOWN
from .world import NOW, Cluster, children, community, migration_key, pod, status_of

#: Nothing that the operator says by itself contains it.
SECRET = "Wonderland-2026"
TEXTS = st.text(max_size=40).map(lambda text: f"{text}{SECRET}") | st.text(max_size=40).map(
    lambda text: f"DATABASE_REFUSED 1045 {SECRET}{text}"
)


def test_every_code_of_the_api_has_a_sentence() -> None:
    assert set(endings.SENTENCES) == set(api.Code)
    for code in api.Code:
        assert endings.told(str(api.Ending(code))) == f"{endings.SENTENCES[code]} ({code})"
        assert endings.told(str(api.Ending(code, 1045))).endswith(f"({code} 1045)")


def test_what_is_wrong_with_a_certificate_is_said_in_the_words_of_the_api() -> None:
    assert endings.TLS == tls.WORDS
    refusal = tls.UnverifiedServerError("BAPSANG_REDIS_TLS_CA", 62)
    said = "Redis is not what spec.redis.tls asks for: its certificate is for another host name"
    assert endings.told(str(api.of(refusal))) == f"{said} (REDIS_TLS 62 BAPSANG_REDIS_TLS_CA)"
    assert "its certificate is refused (DATABASE_TLS 99)" in endings.told("DATABASE_TLS 99")


def _is_known(setting: str) -> bool:
    """Tell whether the API takes a setting, whatever it thinks of the value."""
    try:
        Settings.from_environment({setting: "odd"})
    except SettingsError as error:
        return "is not a known setting" not in str(error)
    return True


def test_every_setting_that_a_container_is_given_may_be_named() -> None:
    assert endings.SETTINGS == KNOWN
    assert all(map(_is_known, KNOWN))
    assert not _is_known("BAPSANG_WONDERLAND")
    refused = api.Ending(api.Code.SETTING_REFUSED, setting="BAPSANG_DATABASE_URL")
    assert endings.told(str(refused)) == "a setting is not usable (SETTING_REFUSED BAPSANG_DATABASE_URL)"
    assert endings.told("SETTING_REFUSED BAPSANG_WONDERLAND") == "a setting is not usable (SETTING_REFUSED)"


@pytest.mark.parametrize(
    ("ended", "said"),
    [
        ({"exitCode": 1, "message": "UNAVAILABLE"}, "exit code 1: a server that it needs did not answer (UNAVAILABLE)"),
        ({"exitCode": 137, "reason": "OOMKilled", "message": "a log line"}, "exit code 137, OOMKilled"),
        ({"exitCode": 137, "reason": "Error"}, "exit code 137, SIGKILL"),
        ({"exitCode": 1, "reason": "Error", "message": "starting\nmysqld: no such option"}, "exit code 1"),
        ({"exitCode": 1, "reason": SECRET}, "exit code 1"),
        ({"exitCode": 1, "message": "WONDERLAND 2026"}, "exit code 1"),
    ],
)
def test_a_container_is_said_to_have_ended_as_far_as_that_is_known(ended: dict[str, Any], said: str) -> None:
    assert endings.sentence(ended) == said


FAILED = Cluster(community())
FAILED.bring_up()
BEFORE = status_of(FAILED)
JOB = migration_key(FAILED.community).name
FAILED.end_job(migration_key(FAILED.community), "Failed")
OBSERVED = progress.observe(FAILED.community, children(FAILED.community), FAILED.live)


@settings(max_examples=30, deadline=None)
@given(TEXTS, TEXTS, TEXTS)
def test_no_text_of_a_container_reaches_a_condition_an_event_or_a_report(last: str, reason: str, waiting: str) -> None:
    ended = {"exitCode": 1, "reason": reason, "message": last}
    states: list[dict[str, Any]] = [
        {"state": {"terminated": ended}},
        {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": waiting}}, "lastState": {"terminated": ended}},
        {"state": {"waiting": {"reason": "CreateContainerError", "message": waiting}}},
    ]
    containers = [{"name": "migrate", "image": "i", "ready": False, **state} for state in states]
    pods = [
        pod(Component.MIGRATE, job=JOB, containerStatuses=containers),
        *(pod(one, name=one, containerStatuses=containers) for one in (Component.REDIS, Component.MYSQL)),
        pod(Component.API, tier="base", name="a", initContainerStatuses=containers),
    ]
    seen = workloads.of_pods(FAILED.community, JOB, pods, NOW)
    found = problem.ranked([*workloads.of_migration(FAILED.community, OBSERVED, pods), *seen])
    assert {str(one.reason) for one in found} >= {"MigrationFailed", "ContainerCrashing", "ContainerConfigError"}
    after = status_of(FAILED, BEFORE, found)
    assert SECRET not in json.dumps([after, [event.message for event in events.transitions(BEFORE, after)]])


def test_a_report_keeps_codes_and_hides_all_other_words_of_containers() -> None:
    states: list[dict[str, Any]] = [
        {"state": {"terminated": {"exitCode": 1, "message": SECRET}}},
        {"state": {"waiting": {"reason": "CreateContainerError", "message": SECRET}}},
        {"state": {"terminated": {"exitCode": 1, "message": "REDIS_REFUSED"}}},
        {"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "db" not found'}}},
    ]
    found = pod(Component.API, containerStatuses=[{"name": "api", **state} for state in states])
    report = view.report({}, {Key("Pod", "ns", "p"): found}, [])
    assert SECRET not in report
    assert "REDIS_REFUSED" in report
    assert 'secret \\"db\\" not found' in report
