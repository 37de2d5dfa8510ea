"""The parts around the core: queue, store, health, settings, credentials, command line."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bapsang_operator import __main__, config, logs
from bapsang_operator.cluster import credentials
from bapsang_operator.informer.health import STALE_SECONDS, START_SECONDS, STUCK_SECONDS, Health
from bapsang_operator.informer.queue import LONGEST_DELAY, WorkQueue, backoff
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import BY_NAME
from bapsang_operator.manifest import Key
from bapsang_operator.metrics import Metrics
from bapsang_operator.resource import quantity

from .world import children, community, resource

KEY = CommunityKey("ns", "c")


class Handler:
    """Handles keys when told to; notes which ran, and how many at once."""

    def __init__(self, queue: WorkQueue[str], results: dict[str, list[bool]] | None = None) -> None:
        self.queue, self.results = queue, results or {}
        self.seen: list[str] = []
        self.running: dict[str, int] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.changed = asyncio.Condition()

    async def __call__(self, item: str) -> bool:
        self.running[item] = self.running.get(item, 0) + 1
        assert self.running[item] == 1, "two workers have the same key"
        async with self.changed:
            self.seen.append(item)
            self.changed.notify_all()
        await self.gate.wait()
        self.running[item] -= 1
        remaining = self.results.get(item)
        return remaining.pop(0) if remaining else True

    async def saw(self, count: int) -> None:
        async with asyncio.timeout(5), self.changed:
            await self.changed.wait_for(lambda: len(self.seen) >= count)


async def _working(handler: Handler, workers: int) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(handler.queue.work(handler)) for _ in range(workers)]


async def _stop(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_key_added_often_is_handled_once() -> None:
    handler = Handler(WorkQueue())
    for _ in range(5):
        handler.queue.add("a")
    assert handler.queue.depth == 1
    tasks = await _working(handler, 2)
    await handler.saw(1)
    await asyncio.sleep(0)
    assert handler.seen == ["a"]
    await _stop(tasks)


async def test_key_added_while_in_work_is_handled_again_but_never_at_the_same_time() -> None:
    handler = Handler(WorkQueue())
    handler.gate.clear()
    tasks = await _working(handler, 3)
    handler.queue.add("a")
    await handler.saw(1)
    handler.queue.add("a")
    handler.queue.add("a")
    handler.queue.add("b")
    await handler.saw(2)
    assert handler.seen == ["a", "b"]
    handler.gate.set()
    await handler.saw(3)
    assert handler.seen == ["a", "b", "a"]
    await _stop(tasks)


async def test_failed_key_comes_back_by_itself() -> None:
    handler = Handler(WorkQueue(jitter=lambda: 1.0), {"a": [False, False]})
    tasks = await _working(handler, 1)
    handler.queue.add("a")
    await handler.saw(3)
    await _stop(tasks)


async def test_key_that_raises_comes_back_later_and_the_worker_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    queue: WorkQueue[str] = WorkQueue(jitter=lambda: 1.0)
    handler = Handler(queue)

    async def handle(item: str) -> bool:
        succeeded = await handler(item)
        if item == "bad" and handler.seen.count("bad") < 3:
            raise RuntimeError("bug")
        return succeeded

    tasks = [asyncio.create_task(queue.work(handle))]
    queue.add("bad")
    queue.add("good")
    await handler.saw(4)
    assert handler.seen == ["bad", "good", "bad", "bad"]
    assert not any(task.done() for task in tasks)
    assert "RuntimeError: bug" in caplog.text
    await _stop(tasks)
    assert queue.oldest_active() == 0


def test_backoff_grows_with_jitter_up_to_a_minute() -> None:
    assert backoff(1, 0) == pytest.approx(0.2)
    assert backoff(4, 0) == pytest.approx(1.6)
    assert backoff(4, 1) == pytest.approx(0.8)
    assert backoff(1000, 0) == LONGEST_DELAY


def _object(kind: str, name: str, version: int, uid: str = "u", **metadata: Any) -> dict[str, Any]:
    base = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": BY_NAME[kind].api_version, "kind": kind, "metadata": base | metadata}


LABELS = {"bapsang.dev/community": "c"}
OWNER = {"kind": "Community", "name": "c", "uid": "x", "controller": True}


def test_late_event_does_not_undo_our_own_write() -> None:
    store = Store()
    store.put(_object("Service", "s", 10, labels=LABELS))
    store.put(_object("Service", "s", 9, labels={}))
    assert Key("Service", "ns", "s") in store.children(KEY)


def test_late_deletion_of_a_predecessor_is_ignored() -> None:
    store = Store()
    store.put(_object("Service", "s", 10, uid="new", labels=LABELS))
    store.drop(_object("Service", "s", 8, uid="old", labels=LABELS))
    assert store.children(KEY)
    assert store.take_lost(KEY) == set()


def test_deleted_child_is_lost_once() -> None:
    store = Store()
    service = _object("Service", "s", 1, labels=LABELS)
    store.put(service)
    store.applied[Key("Service", "ns", "s")] = service
    store.drop(_object("Service", "s", 2, labels=LABELS))
    assert store.take_lost(KEY) == {Key("Service", "ns", "s")}
    assert store.take_lost(KEY) == set()


def test_what_was_never_applied_is_no_loss() -> None:
    store = Store()
    store.put(_object("Job", "j", 1, labels=LABELS))
    store.drop(_object("Job", "j", 2, labels=LABELS))
    assert store.take_lost(KEY) == set()


def test_owner_leads_home_when_the_label_was_edited() -> None:
    store = Store()
    store.put(_object("Service", "s", 1, labels={"bapsang.dev/community": "other"}, ownerReferences=[OWNER]))
    assert store.children(KEY)
    assert not store.children(CommunityKey("ns", "other"))


def test_prune_drops_what_a_list_lacks_but_nothing_newer_than_it() -> None:
    store = Store()
    for name, version in (("gone", 5), ("kept", 5), ("newer", 50)):
        store.put(_object("Service", name, version, labels=LABELS))
    assert store.prune("Service", None, 20, {("ns", "kept")}) == {KEY}
    assert {key.name for key in store.children(KEY)} == {"kept", "newer"}


def test_store_keeps_of_pods_only_what_ails_them_and_where_they_run() -> None:
    store = Store()
    big = _object("Pod", "p", 1, labels=LABELS, managedFields=[1], annotations={"a": "b"})
    store.put(big | {"spec": {"containers": [], "nodeName": "n"}, "status": {"phase": "Running", "podIPs": []}})
    (found,) = store.children(KEY).values()
    assert found["spec"] == {"nodeName": "n"}
    assert found["status"] == {"phase": "Running"}
    assert {"managedFields", "annotations"}.isdisjoint(found["metadata"])


def test_revision_of_a_community_moves_with_each_change_of_what_it_has_and_with_nothing_else() -> None:
    store, other = Store(), CommunityKey("ns", "other")
    of_other = {"bapsang.dev/community": "other"}

    def moves(change: Callable[[], None], community: CommunityKey = KEY) -> bool:
        before = store.revision(community)
        change()
        return store.revision(community) != before

    assert moves(lambda: store.put(resource()))
    assert moves(lambda: store.put(_object("Service", "s", 1, labels=LABELS)))
    assert not moves(lambda: store.put(_object("Service", "s", 1, labels=LABELS)))
    assert not moves(lambda: store.put(_object("Service", "t", 1, labels=of_other)))
    assert moves(lambda: store.put(_object("Service", "s", 2, labels=LABELS)))
    assert moves(lambda: store.put(_object("Service", "s", 3, labels=of_other)))  # which it loses
    assert moves(lambda: store.put(_object("Service", "s", 4, labels=LABELS)), other)
    assert moves(lambda: store.drop(_object("Service", "s", 5, labels=LABELS)))


def test_forgotten_community_leaves_no_memory() -> None:
    store = Store()
    for child in children(community()):
        store.applied[child.key] = child.manifest
    store.put(resource())
    store.forget(KEY)
    assert store.applied == {}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _health(stuck: float = 0.0, namespaces: tuple[str, ...] = ()) -> tuple[Health, Clock]:
    clock = Clock()
    return Health((BY_NAME["Service"], BY_NAME["Pod"]), Metrics(), lambda: stuck, clock, namespaces), clock


def test_health_is_ready_when_every_kind_was_listed() -> None:
    health, _ = _health()
    health.opened("services")
    health.opened("something-else")
    assert not health.is_ready
    health.opened("pods")
    assert health.is_ready
    assert health.ailments() == []


def test_dead_watch_ends_the_process() -> None:
    health, clock = _health()
    health.opened("services")
    health.opened("pods")
    clock.now = STALE_SECONDS - 1
    assert health.ailments() == []
    health.opened("pods")
    clock.now = STALE_SECONDS + 1
    assert health.ailments() == [f"the watch of Service was last opened {clock.now:.0f} s ago"]


def test_kind_that_is_never_listed_ends_the_process() -> None:
    health, clock = _health()
    clock.now = START_SECONDS + 1
    assert len(health.ailments()) == 2


def _open(health: Health, *namespaces: str) -> None:
    for namespace in namespaces:
        health.opened("services", namespace)
        health.opened("pods", namespace)


def test_health_is_ready_when_every_kind_was_listed_in_every_namespace() -> None:
    health, _ = _health(namespaces=("a", "b"))
    _open(health, "a")
    assert not health.is_ready
    _open(health, "b")
    assert health.is_ready


def test_dead_watch_in_one_of_two_namespaces_ends_the_process() -> None:
    health, clock = _health(namespaces=("a", "b"))
    _open(health, "a", "b")
    clock.now = STALE_SECONDS - 1
    _open(health, "a")
    health.opened("pods", "b")
    clock.now = STALE_SECONDS + 1
    assert health.ailments() == [f"the watch of Service in namespace b was last opened {clock.now:.0f} s ago"]


def test_refused_namespace_ails_nobody_and_is_expected_again_once_it_is_back() -> None:
    health, clock = _health(namespaces=("a", "b"))
    _open(health, "a", "b")
    health.excuse("b")
    clock.now = STALE_SECONDS + 1
    _open(health, "a")
    assert (health.ailments(), health.is_ready, health.refused) == ([], True, ["b"])
    health.expect("b")
    assert not health.is_ready
    clock.now += START_SECONDS + 1
    _open(health, "a")
    assert len(health.ailments()) == 2
    _open(health, "b")
    assert (health.ailments(), health.is_ready, health.refused) == ([], True, [])


def test_operator_that_may_watch_nothing_is_not_ready() -> None:
    health, _ = _health(namespaces=("a",))
    _open(health, "a")
    health.excuse("a")
    assert not health.is_ready


async def test_task_that_ends_ends_the_process_and_is_named() -> None:
    async def fail() -> None:
        raise RuntimeError("bug")

    async def finish() -> None:
        pass

    async def cancel() -> None:
        raise asyncio.CancelledError

    for job, words in ((fail(), "RuntimeError\\('bug'\\)"), (finish(), "None"), (cancel(), "None")):
        task = asyncio.create_task(job, name="resync")
        await asyncio.wait([task])
        with pytest.raises(__main__.TaskEndedError, match=f'task "resync" has ended: {words}'):
            __main__._judge([task])


def test_stuck_worker_ends_the_process() -> None:
    health, _ = _health(stuck=STUCK_SECONDS + 1)
    assert "a worker has been busy" in health.ailments()[0]


def test_settings_are_read_and_foreign_variables_ignored() -> None:
    found = config.load({"BAPSANG_WORKERS": "8", "BAPSANG_LOG_LEVEL": "debug", "HOME": "/"})
    assert (found.workers, found.log_level, found.admin_port) == (8, "debug", 9000)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BAPSANG_TYPO", "1"),
        ("BAPSANG_ADMIN_PORT", "0"),
        ("BAPSANG_ADMIN_PORT", "x"),
        ("BAPSANG_RESYNC_SECONDS", "-1"),
        ("BAPSANG_WORKERS", "65"),
        ("BAPSANG_LOG_LEVEL", "loud"),
        ("BAPSANG_NAMESPACE", "Not A Namespace"),
        ("BAPSANG_LEASE_SECONDS", "11"),
        ("BAPSANG_LEASE_RENEW_SECONDS", "2"),
    ],
)
def test_bad_setting_ends_with_code_2_and_names_the_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("BAPSANG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(variable, value)
    assert __main__.main(["run"]) == 2
    assert variable in capsys.readouterr().err


def test_kubeconfig_with_a_token_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(_kubeconfig({"token": "t"})))
    found = credentials.load({"KUBECONFIG": str(path)})
    assert (found.server, found.token) == ("http://127.0.0.1:1", "t")


@pytest.mark.parametrize(
    "content",
    [
        {"current-context": "x"},
        {"clusters": []},
        None,
        "text",
        {"user": {"exec": {"command": "x"}}},
        {"user": {"auth-provider": {}}},
    ],
)
def test_unusable_kubeconfig_is_refused_by_name(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "config"
    plugin = isinstance(content, dict) and "user" in content
    path.write_text(yaml.safe_dump(_kubeconfig(content["user"]) if plugin else content))
    with pytest.raises(credentials.CredentialsError, match=str(path)):
        credentials.from_kubeconfig(path)


def _kubeconfig(user: Any) -> dict[str, Any]:
    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1/"}}],
        "users": [{"name": "u", "user": user}],
    }


def test_log_line_is_json_with_its_fields() -> None:
    record = logging.makeLogRecord(
        {"name": "n", "levelno": 20, "levelname": "INFO", "msg": "applied %s", "args": ("밥",)}
    )
    record.community = "ns/c"
    line = json.loads(logs.JsonFormatter().format(record))
    assert (line["message"], line["community"], line["level"]) == ("applied 밥", "ns/c", "info")


@pytest.mark.parametrize(
    ("left", "right"),
    [
        *(("1000m", "1"), (1, "1"), ("1Gi", "1024Mi"), ("1.5", "1500m"), ("1G", "1000M")),
        *(("0.001m", "1u"), ("1u", "1000n"), ("1024Ti", "1Pi"), ("1024Pi", "1Ei"), ("5000T", "5P"), ("1000P", "1E")),
    ],
)
def test_quantities_are_equal_by_value(left: str | int, right: str) -> None:
    assert quantity.equal(left, right)


@pytest.mark.parametrize(("left", "right"), [("1", "2"), ("1Gi", "1G"), ("x", "x"), (None, "1")])
def test_other_quantities_are_not_equal(left: Any, right: Any) -> None:
    assert not quantity.equal(left, right)
