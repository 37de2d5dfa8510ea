"""Measures the operator on an apiserver of its own: creating, idling, restoring, taking over. Run by `make bench-operator`.

The apiserver's audit log is the witness: times and counts come from it, not from the operator. Controllers and kubelet
are played, so that no pod runs and only the operator is measured. What was measured is saved even when a phase fails.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.operator.client import NAMESPACE, Client, client_of, grant, install_crd
from tests.integration.operator.controlplane import ControlPlane, programs, running
from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.integration.operator.test_restoring import EDITS
from tests.load import results
from tests.load.audit import Audit
from tests.load.like_sync_runs import runs
from tests.load.versions import OPERATOR
from tests.waiting import eventually

from bapsang_operator.kinds import BY_NAME, COMMUNITY
from bapsang_operator.manifest import digest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks/operator.json"
PER_NAMESPACE = 10
#: The children that need no other one to be ready; the rest waits for database, Redis and migration.
FIRST = (
    *("ServiceAccount", "NetworkPolicy", "PersistentVolumeClaim", "Service", "StatefulSet", "PodDisruptionBudget"),
    *("Ingress", "Secret"),
)
#: Not children: what is written about a Community, not for it.
_REPORTS = ("communities", "events")
#: Deleting a migration Job asks for another migration; Secrets are not watched (docs/operator.md), which is told apart.
_NOT_DELETED = ("Job", "Secret")
#: What is promised, by phase and value; the script fails where it is not kept.
GOALS = {
    ("create", "ratio p50"): 1.5,
    ("create", "ratio p99"): 2.5,
    ("idle", "writes"): 0,
    ("idle", "rss MiB"): 120,
    ("idle", "cpu mcore"): 5,
    ("restart", "writes"): 0,
    ("restart", "rss MiB"): 120,
    ("like-sync", "cpu mcore"): 25,
    ("edited", "p99"): 1.0,
    ("deleted", "p99"): 1.0,
    ("take-over", "stopped s"): 1,
    ("take-over", "killed s"): 17,
}


class Bench:
    """One control plane, one operator, and what was measured so far."""

    def __init__(self, plane: ControlPlane, client: Client, operator: Operator, folder: Path, kube: Path) -> None:
        self.plane = plane
        self.audit = Audit(plane)
        self.client = client
        self.operator = operator
        self.folder = folder
        # The program is told by its name.
        self.kubectl = folder / "kubectl"
        self.kubectl.symlink_to(kube)
        self.found: dict[str, Any] = {}

    def wait(self, probe: Callable[[], Any], seconds: float, what: str, pause: float = 0.02) -> Any:
        """Return the first truthy answer of `probe`; fails, with its last words, as soon as the operator has ended."""

        def look() -> Any:
            self.check()
            return probe()

        return eventually(look, seconds, what, pause=pause)

    def check(self) -> None:
        """Fail when the operator has ended."""
        assert self.operator.process is not None
        code = self.operator.process.poll()
        if code is not None:
            words = "\n".join(self.operator.log.read_text().splitlines()[-15:])
            raise AssertionError(f"the operator has ended with {code}; its last words:\n{words}")

    def rest(self, seconds: float) -> None:
        """Let time pass while watching the operator live."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, 1))

    def create(self, count: int) -> None:
        """Time from creating a Community until its first children exist, against kubectl with the same manifests."""
        ours, kubectl = [], []
        for _ in range(count):
            namespace = Namespace(self.client)
            mark, begun = self.audit.mark(), time.time()
            namespace.community()
            self.wait(lambda: _is_begun(namespace), 30, "the first children")  # noqa: B023 - called at once
            writes = self.audit.writes(mark, namespace.name)
            ours.append(max(one.answered for one in writes if one.resource not in _REPORTS) - begun)
            manifests = [one for one in namespace.children().values() if one["kind"] in FIRST]
            kubectl.append(self._kubectl(manifests))
            namespace.remove()
        pair = {"operator": results.quantiles(ours), "kubectl": results.quantiles(kubectl)}
        ratios = {f"ratio {name}": round(pair["operator"][name] / pair["kubectl"][name], 2) for name in ("p50", "p99")}
        self.found["create"] = {"children": len(manifests), **pair, **ratios}

    def _kubectl(self, manifests: list[dict[str, Any]]) -> float:
        twin = Namespace(self.client)
        documents = [_bare(one, twin.name) for one in manifests]
        command = [str(self.kubectl), "--kubeconfig", str(self.plane.admin), "apply", "--server-side", "-f", "-"]
        # JSON: a checksum such as 12e4567890123456 is a text to PyYAML and a number to kubectl.
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": documents})
        begun = time.time()
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=300)
        elapsed = time.time() - begun
        if done.returncode:
            raise RuntimeError(f"kubectl apply: {done.stderr}")
        self.client.delete(NAMESPACE, None, twin.name)
        return elapsed

    def fill(self, count: int) -> list[Namespace]:
        """Bring `count` Communities up."""
        namespaces = [Namespace(self.client) for _ in range(-(-count // PER_NAMESPACE))]
        begun = time.monotonic()
        names = [(namespace, f"c{index}") for namespace in namespaces for index in range(PER_NAMESPACE)][:count]
        for namespace, name in names:
            namespace.community(name, host=f"{name}.{namespace.name}.example.com")
        left = set(range(len(namespaces)))

        def is_up() -> bool:
            for number in list(left):
                namespaces[number].play_controllers()
                if all(map(_is_up, self.client.list(COMMUNITY, namespaces[number].name))):
                    left.discard(number)
            return not left

        self.wait(is_up, 1200, "all Communities are up", pause=0.5)
        children = sum(len(namespace.children()) for namespace in namespaces)
        seconds = round(time.monotonic() - begun, 1)
        self.found["fleet"] = {"communities": count, "children": children, "up after s": seconds}
        return namespaces

    def idle(self, seconds: float) -> None:
        """Writes, memory and CPU while nothing changes."""
        self.settle()
        self.found["idle"] = self.watch(seconds)

    def restart(self, seconds: float) -> None:
        """The same from a restart on, whose listing and first pass over everything are part of it."""
        mark, begun = self.audit.mark(), time.monotonic()
        self.operator.restart()
        leading = round(time.monotonic() - begun, 2)
        self.rest(min(seconds, 60))
        settled = self.watch(max(1.0, seconds - 60))
        self.found["restart"] = {"leading after s": leading, **settled, "writes": len(self.audit.writes(mark))}

    def like_sync(self, namespaces: list[Namespace], minutes: int) -> None:
        """CPU while each Community has a run of like-sync a minute; the operator writes nothing but what is told of it."""
        pairs = [
            (space, found["metadata"]["name"])
            for space in namespaces
            for found in self.client.list(COMMUNITY, space.name)
        ]
        played = runs(pairs, minutes + 1, self.check)
        next(played)  # the first run of all is news
        usage, mark = results.Usage(self.pid()), self.audit.mark()
        for minute in played:
            if minute == minutes:
                found = {"minutes": minutes, "communities": len(pairs), "writes": len(self.audit.writes(mark))}
                self.found["like-sync"] = {**found, "rss MiB": usage.memory(), "cpu mcore": usage.mcore()}
        self.wait(lambda: not any(map(_runs_of, namespaces)), 60, "the runs are gone")

    def watch(self, seconds: float) -> dict[str, Any]:
        usage, mark, begun = results.Usage(self.pid()), self.audit.mark(), time.monotonic()
        self.rest(seconds)
        passed = time.monotonic() - begun
        found = {"seconds": round(passed), "writes": len(self.audit.writes(mark))}
        return {**found, "rss MiB": usage.memory(), "peak MiB": usage.peak(), "cpu mcore": usage.mcore()}

    def restore(self, namespaces: list[Namespace], count: int) -> None:
        """Time from damaging a child, of any kind, until it is whole again by the audit log."""
        chosen = random.Random(1)
        times: dict[str, list[float]] = {"edited": [], "deleted": []}
        slowest: dict[str, tuple[float, str]] = {}
        for turn in range(count):
            how, namespace = ("edited", "deleted")[turn % 2], chosen.choice(namespaces)
            kinds = [(kind, name) for kind, name in namespace.children() if how == "edited" or kind not in _NOT_DELETED]
            kind, name = chosen.choice([one for one in kinds if one[0] in EDITS])
            mark, begun = self.audit.mark(), time.time()
            if how == "deleted":
                namespace.delete(kind, name)
            else:
                namespace.patch(kind, name, EDITS[kind])
            plural = BY_NAME[kind].plural

            def whole(mark: int = mark, space: str = namespace.name, plural: str = plural, name: str = name) -> Any:
                return [one for one in self.audit.writes(mark, space) if (one.resource, one.name) == (plural, name)]

            written = self.wait(whole, 30, f"{kind} {name} in {namespace.name}, {how}, is whole again")
            taken = written[0].answered - begun
            times[how].append(taken)
            slowest[how] = max(slowest.get(how, (0.0, "")), (round(taken, 3), f"{kind} {name}"))
            namespace.play_controllers()
        for how, found in times.items():
            self.found[how] = results.quantiles(found) | {"slowest": slowest[how][1]}

    def take_over(self) -> None:
        """Time until a waiting operator leads, after a clean end and after a kill."""
        found = {}
        for how, number in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
            log, settings = self.folder / f"{how}.log", self.operator.settings
            waiting = Operator(self.plane.operator, log, settings, path=OPERATOR, python=self.operator.python)
            waiting.start()
            ended, self.operator = self.operator, waiting
            begun = time.monotonic()
            ended.signal(number)
            self.wait(lambda: self.operator.leads, 40, f"another one leads after the first was {how}")
            found[f"{how} s"] = round(time.monotonic() - begun, 2)
            ended.wait()
        self.found["take-over"] = found

    def settle(self) -> None:
        def quiet() -> bool:
            mark = self.audit.mark()
            self.rest(10)
            return not self.audit.writes(mark)

        self.wait(quiet, 300, "no writes any more")

    def pid(self) -> int:
        assert self.operator.process is not None
        return self.operator.process.pid


def _runs_of(namespace: Namespace) -> list[str]:
    return [name for kind, name in namespace.children() if kind in ("Job", "Pod") and "-like-sync-" in name]


def _is_begun(namespace: Namespace) -> bool:
    told = namespace.condition("Progressing")
    return (told.get("status"), told.get("reason")) == ("True", "WaitingForDatabase")


def _is_up(community: dict[str, Any]) -> bool:
    told = community.get("status", {}).get("conditions", ())
    return any((one["type"], one["reason"]) == ("Progressing", "UpToDate") for one in told)


def _bare(found: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return what somebody would write into a file to get this object."""
    metadata = {key: found["metadata"].get(key) for key in ("name", "labels", "annotations")} | {"namespace": namespace}
    kept = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    bare: dict[str, Any] = json.loads(json.dumps({**kept, "apiVersion": BY_NAME[found["kind"]].api_version}))
    bare["metadata"] = {key: value for key, value in metadata.items() if value}
    for given in ("clusterIP", "clusterIPs", "volumeName"):
        bare.get("spec", {}).pop(given, None)
    assert digest(bare)
    return bare


def _measure(chosen: argparse.Namespace, folder: Path) -> tuple[dict[str, Any], str]:
    """Run all phases; return what was found, and why it ended early if it did."""
    found = programs()
    if found is None:
        sys.exit("etcd and kube are not there: run `make up` first.")

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    with running(found, folder, prepare) as plane, client_of(plane.admin) as client:
        grant(client)
        # The settings of the chart, not the short intervals of the tests.
        settings = {"BAPSANG_RESYNC_SECONDS": "30"}
        operator = Operator(plane.operator, folder / "operator.log", settings, path=OPERATOR, python=chosen.python)
        operator.start()
        bench = Bench(plane, client, operator, folder, found.kube)
        try:
            bench.wait(lambda: operator.leads, 30, "the operator leads")
            bench.create(chosen.create)
            namespaces = bench.fill(chosen.communities)
            bench.idle(chosen.idle)
            bench.restart(chosen.idle)
            bench.like_sync(namespaces, chosen.minutes)
            bench.restore(namespaces, chosen.restore)
            bench.take_over()
        except AssertionError as error:
            return bench.found, str(error)
        finally:
            if bench.operator.process is not None and bench.operator.process.poll() is None:
                bench.operator.stop()
    return bench.found, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--create", type=int, default=100, help="Communities created one after another")
    parser.add_argument("--communities", type=int, help="default: 200; with --against 50")
    parser.add_argument(
        "--idle", type=float, help="seconds at rest (default: 600, before and after the restart; with --against 60)"
    )
    parser.add_argument("--minutes", type=int, default=5, help="minutes with a run of like-sync each (default: 5)")
    parser.add_argument("--restore", type=int, default=200, help="children damaged, edits and deletions in turn")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the packages of the image, no more")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--keep", type=Path, help="folder for the programs' logs, instead of a temporary one")
    parser.add_argument(
        "--against", metavar="COMMIT", help="compare this checkout with a commit instead: bring-up and rest"
    )
    parser.add_argument(
        "--pairs", type=int, default=4, help="with --against: measurements of each (default: %(default)s)"
    )
    chosen = parser.parse_args()
    chosen.communities = chosen.communities or (50 if chosen.against else 200)
    chosen.idle = chosen.idle or (60 if chosen.against else 600)
    if chosen.against:
        from tests.load import operator_against

        return operator_against.main(chosen)
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        found, failure = _measure(chosen, folder)
    kept = {
        f"{phase}: {value} <= {goal}": found[phase][value] <= goal
        for (phase, value), goal in GOALS.items()
        if phase in found
    }
    results.save(chosen.output, found | {"kept": kept} | ({"failure": failure} if failure else {}))
    return 0 if not failure and all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
