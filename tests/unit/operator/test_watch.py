"""What a watch tells is in the store at once; a Community is looked at for what is news to it."""

from __future__ import annotations

from typing import Any

from bapsang_operator import names
from bapsang_operator.informer import news, watch
from bapsang_operator.informer.store import CommunityKey, Store
from bapsang_operator.kinds import BY_NAME, COMMUNITY
from bapsang_operator.manifest import Key, Manifest
from bapsang_operator.names import Component

KEY = CommunityKey("ns", "c")
WELL = [{"type": "Degraded", "status": "False"}, {"type": "LikeSyncHealthy", "status": "True"}]
COMPLETE = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-11-23T10:00:20Z"}]}


class Watched:
    """A store that is told of events, each newer than the one before, and who was named for them."""

    def __init__(self) -> None:
        self.store = Store()
        self.version = 0
        self.tell("Community", name="c", status={"conditions": WELL})

    def tell(
        self, kind: str, change: str = "MODIFIED", name: str = "r", generation: int = 1, **parts: Any
    ) -> list[float]:
        """Return the seconds after which the Community is to be looked at, once for each time that it was named."""
        self.version += 1
        labels = {names.LABEL_COMMUNITY: "c", names.LABEL_COMPONENT: str(Component.LIKE_SYNC)}
        metadata: Manifest = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(self.version)}
        metadata |= {"labels": labels, "generation": generation}
        if kind == "CronJob":  # as it is once it was applied: the store keeps the record elsewhere
            self.store.applied[Key(kind, "ns", name)] = {}
            metadata["annotations"] = {"bapsang.dev/applied": "record"}
        found: list[float] = []
        event: Any = {"type": change, "object": {"metadata": metadata, **parts}}
        kind_of = COMMUNITY if kind == names.KIND else BY_NAME[kind]
        watch.note(event, kind_of, self.store, lambda key, seconds: found.append(seconds) if key == KEY else None)
        return found


def _run(watched: Watched, end: Manifest) -> list[float]:
    """Tell a run of like-sync as the CronJob and Job controllers and a kubelet write it."""
    found = watched.tell("Job", "ADDED")
    found += watched.tell("CronJob", status={"active": [{"name": "r"}]})
    found += watched.tell("Pod", "ADDED", "r-x", status={"phase": "Pending"})
    found += watched.tell("Job", status={"active": 1})
    found += watched.tell("Pod", name="r-x", status={"phase": "Running"})
    found += watched.tell("Pod", name="r-x", status={"phase": "Succeeded"})
    found += watched.tell("Job", status=end)
    found += watched.tell("CronJob", status={})
    found += watched.tell("Pod", "DELETED", "r-x")
    return found + watched.tell("Job", "DELETED")


def test_a_run_that_goes_well_is_one_look_when_it_should_have_ended() -> None:
    watched = Watched()
    watched.tell("CronJob", "ADDED")
    assert _run(watched, COMPLETE) == [news.RUN_SECONDS]


def test_a_failed_run_is_looked_at_at_once() -> None:
    watched = Watched()
    watched.tell("CronJob", "ADDED")
    assert 0 in _run(watched, {"failed": 1, "conditions": [{"type": "FailureTarget", "status": "True"}]})


def test_what_is_no_news_is_known_and_asks_for_no_other_pass() -> None:
    watched = Watched()
    watched.tell("Job", "ADDED")
    before = watched.store.revision(KEY)
    watched.tell("Job", status=COMPLETE)
    assert watched.store.revision(KEY) == before
    (job,) = watched.store.children(KEY).values()
    assert job["status"] == COMPLETE


def test_an_edited_and_a_deleted_cronjob_are_looked_at_at_once() -> None:
    watched = Watched()
    assert watched.tell("CronJob", "ADDED") == [0]
    assert watched.tell("CronJob", status={"lastScheduleTime": "2026-11-23T10:00:00Z"}) == []
    assert watched.tell("CronJob", generation=2) == [0]
    assert watched.tell("CronJob", "DELETED") == [0]
