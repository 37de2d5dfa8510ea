"""A whole life of a Community, with one request spoiled or the operator killed around it: the end is always the same.

The suite spoils a sample of the requests; BAPSANG_TEST_FAULTS=all spoils every one in every way (about an hour),
BAPSANG_TEST_FAULTS=5+0 a fifth of them. Several Communities live at once, each with a fault of its own; whoever's
operator is killed, all have to go on from there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.integration.operator.client import BINDINGS, ROLES, Client, bind, rules
from tests.integration.operator.controlplane import ControlPlane
from tests.integration.operator.faults import ANSWERS, KILLS, Fault, Proxy
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.waiting import eventually

from bapsang_operator.kinds import BY_NAME, LEASE

#: A round is many lives at once.
pytestmark = pytest.mark.timeout(600)
NEW = "bapsang/api:0.2.0"
ALWAYS_OPEN = {"name": "always", "schedule": "* * * * *", "duration": "60m", "replicas": 5}
#: How many requests a life has at least; each run draws its faults from these.
REQUESTS = 100
ASKED = os.environ.get("BAPSANG_TEST_FAULTS", "")
#: "all" is every request; "5+2" every fifth from the third on, so that 5+0 … 5+4 together are all.
STEP, SHIFT = (1, 0) if ASKED == "all" else map(int, (ASKED or "0+0").split("+"))
#: Lives at once.
COMPANY = 8


def _indexes(place: int) -> range:
    # Of a sample, each way to fail meets another part of a life; together they cover all of it.
    return range((place + SHIFT) % STEP, REQUESTS, STEP) if STEP else range(place * 5, REQUESTS, 47)


def _rounds() -> Iterator[Any]:
    """Yield what happens to which request, in rounds of as many as are lived at once."""
    kills = [(what, index) for place, what in enumerate(KILLS) for index in _indexes(place)]
    answers = [[(what, index) for index in _indexes(place)] for place, what in enumerate(ANSWERS, len(KILLS))]
    yield from _split("kills", kills)
    if STEP:
        yield from _split("answers", [fault for way in answers for fault in way])
        return
    # By turns an early request and a late one; what is left of the sample waits for the night.
    yield from _split("answers", [way.pop(place % 2) for place, way in enumerate(answers)])
    yield from _split("more answers", [fault for way in answers for fault in way], pytest.mark.nightly("operator"))


def _split(name: str, faults: list[tuple[str, int]], *marks: pytest.MarkDecorator) -> Iterator[Any]:
    for number, first in enumerate(range(0, len(faults), COMPANY), 1):
        yield pytest.param(tuple(faults[first : first + COMPANY]), marks=marks, id=f"{name} {number}")


@dataclass
class Stage:
    """An operator behind a proxy, which is started again, by a kubelet so to say, whenever it has ended."""

    operator: Operator
    proxy: Proxy
    client: Client
    _starting: threading.Lock = field(default_factory=threading.Lock)

    def keep_running(self) -> None:
        with self._starting:
            process = self.operator.process
            if process is None or process.poll() is not None:
                # The lease of a dead process runs out by itself; test_leadership.py waits for that.
                self.client.delete_if_there(LEASE, self.operator.settings["BAPSANG_NAMESPACE"], "bapsang-operator")
                self.operator.launch()

    def kill(self) -> None:
        self.operator.signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def stage(control_plane: ControlPlane, client: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    namespace = Namespace(client)
    bind(client, ROLES, BINDINGS, namespace.name, rules(namespaced=True))
    settings = {"BAPSANG_NAMESPACE": namespace.name, "BAPSANG_RESYNC_SECONDS": "3"}
    with Proxy(control_plane.operator) as proxy:
        found = Operator(proxy.kubeconfig(folder / "kubeconfig"), folder / "operator.log", settings)
        found.start()
        yield Stage(found, proxy, client)
        found.rest()


class Life:
    """Everything that happens to one Community, with controllers and kubelet played."""

    def __init__(self, stage: Stage, namespace: Namespace) -> None:
        self.stage = stage
        self.namespace = namespace

    def live(self) -> None:
        self.namespace.community()
        self._until(self._is("Progressing", "UpToDate"), "up")
        self._edit(likeSync={"batchSize": 7})
        self._until(lambda: '"7"' in json.dumps(self.namespace.get("CronJob", "c-like-sync")), "edited")
        self._edit(image=NEW)
        self._until(lambda: self._status().get("image") == NEW and self._is("Progressing", "UpToDate")(), "migrated")
        self._edit(hibernate=True)
        self._until(self._is("Ready", "Hibernated"), "asleep")
        self._edit(hibernate=False)
        self._until(self._is("Progressing", "UpToDate"), "awake")
        self._edit(prewarm=[ALWAYS_OPEN])
        self._until(self._is("Prewarmed", "WindowOpen"), "prewarmed")
        self._until(lambda: self._floor() == 5 and self._is("Degraded", "AsExpected")(), "floor raised")
        self._until(lambda: len(self._jobs()) == 1, "the older migration is gone")

    def end(self) -> None:
        self.namespace.delete("Community", "c")
        eventually(lambda: not self.namespace.children(), 120, "all gone", pause=1)

    def essence(self) -> str:
        """Return all children and the status, without what differs between any two runs."""
        found = [*self.namespace.children().values(), self.namespace.get("Community", "c")]
        text = json.dumps([_stripped(one) for one in found if one], sort_keys=True, indent=1)
        # The name of a migration holds the database: a password and a volume of this run's own.
        for name in self._jobs():
            text = text.replace(name, "MIGRATION").replace(name.rpartition("-")[2], "HASH")
        return text.replace(self.namespace.name, "NAMESPACE")

    def _edit(self, **spec: Any) -> None:
        self.namespace.patch("Community", "c", {"spec": spec})

    def _until(self, probe: Any, what: str) -> None:
        def look() -> bool:
            self.stage.keep_running()
            self.namespace.play_controllers()
            return bool(probe())

        # Each look lists and reads a lot, and the other lives want the processor, too.
        eventually(look, 240, f"{self.namespace.name}: {what}; {self._status().get('conditions')}", pause=0.5)

    def _status(self) -> Any:
        return (self.namespace.get("Community", "c") or {}).get("status", {})

    def _is(self, kind: str, reason: str) -> Any:
        def probe() -> bool:
            found = self.namespace.get("Community", "c") or {}
            condition = self.namespace.condition(kind)
            is_current = condition.get("observedGeneration") == found["metadata"]["generation"]
            return is_current and condition.get("reason") == reason

        return probe

    def _floor(self) -> int:
        found: Any = self.namespace.get("HorizontalPodAutoscaler", "c-api-burst")
        return int(found["spec"]["minReplicas"])

    def _jobs(self) -> list[str]:
        return [job["metadata"]["name"] for job in self.namespace.client.list(BY_NAME["Job"], self.namespace.name)]


def lived(stage: Stage, namespace: Namespace, plane: ControlPlane) -> tuple[str, dict[str, int]]:
    """Let a Community live and end; return what it came to and how often each migration Job was created, and leave nothing
    of it.

    Counted before the end: the watch of Jobs may tell of the garbage collector's work before that of Communities tells why,
    and the Job, whose owner is gone, is made once more for a moment.
    """
    life = Life(stage, namespace)
    life.live()
    essence, creations = life.essence(), _creations(plane, namespace.name)
    life.end()
    return essence, creations


def _stripped(found: dict[str, Any]) -> dict[str, Any]:
    metadata = found["metadata"]
    kept = {key: metadata.get(key) for key in ("name", "labels")}
    kept["owners"] = [{**owner, "uid": ""} for owner in metadata.get("ownerReferences", ())]
    one = {**found, "metadata": kept}
    if found["kind"] == "Secret":
        return {**one, "data": sorted(found["data"])}
    text = json.dumps(one)
    # Passwords are random, and with them every hash of them; times and addresses are the run's own.
    text = re.sub(
        r'"(bapsang.dev/secrets-checksum|lastTransitionTime|startTime|completionTime)": "[^"]*"', r'"\1": ""', text
    )
    text = re.sub(
        r'"(clusterIPs?|controller-uid|batch.kubernetes.io/controller-uid)": ("[^"]*"|\[[^\]]*\])', r'"\1": ""', text
    )
    text = re.sub(r'"(observedGeneration|uid)": ("[^"]*"|\d+)', r'"\1": ""', text)
    # What scheduled runs wait hangs on the namespace's name.
    text = re.sub(r'("--deadline", |exec bapsang-api [^,]*, )"\d+"', r'\1""', text)
    stripped: dict[str, Any] = json.loads(text)
    return stripped


def _creations(plane: ControlPlane, namespace: str) -> dict[str, int]:
    """Return how often the creation of each migration Job was answered, by the apiserver's audit log.

    One that was on its way when the operator was killed may have been carried out and logged as a failure.
    """
    found: dict[str, int] = {}
    for event in plane.audited():
        what = event["objectRef"]
        if what["resource"] == "jobs" and what.get("namespace") == namespace and event["responseStatus"]["code"] == 201:
            found[what["name"]] = found.get(what["name"], 0) + 1
    return found


@pytest.fixture(scope="module")
def undisturbed(stage: Stage, client: Client, control_plane: ControlPlane) -> str:
    """The state at the end of a life in which nothing goes wrong."""
    namespace = Namespace(client)
    essence, _ = lived(stage, namespace, control_plane)
    assert len(stage.proxy.calls[namespace.name]) >= REQUESTS * 0.8
    return essence


@pytest.mark.parametrize("faults", list(_rounds()))
def test_life_ends_the_same_whatever_happens_to_one_request(
    stage: Stage, undisturbed: str, client: Client, control_plane: ControlPlane, faults: tuple[tuple[str, int], ...]
) -> None:
    stage.keep_running()

    def live(one: tuple[str, int]) -> tuple[bool, str, dict[str, int], Namespace]:
        what, index = one
        namespace = Namespace(client)
        fault = Fault(namespace.name, index, what, stage.kill)
        stage.proxy.faults[namespace.name] = fault
        essence, creations = lived(stage, namespace, control_plane)
        return fault.happened, essence, creations, namespace

    with ThreadPoolExecutor(COMPANY) as lives:
        ends = list(lives.map(live, faults))
    for (what, index), (happened, essence, creations, namespace) in zip(faults, ends, strict=True):
        # The last requests of a life may not come at all: which Events are posted depends on how changes fall together.
        assert happened or index > REQUESTS * 0.6, (what, index)
        assert essence == undisturbed, (what, index)
        assert len({name for name, _ in namespace.jobs}) == len(namespace.jobs) == 2, (what, index, namespace.jobs)
        assert max(creations.values(), default=0) <= 1, (what, index)


def test_faulty_operator_never_died_of_an_answer(stage: Stage, undisturbed: str) -> None:
    log = stage.operator.log.read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]
