"""Measures the operator on an apiserver of its own: creating, idling, restoring, taking over. Run by `make bench-operator`.

The apiserver's audit log is the witness: times and counts come from it, not from the operator. Controllers and kubelet
are played, so that no pod runs and only the operator is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from tests.integration.operator.controlplane import ControlPlane, programs, running
from tests.integration.operator.world import Client, Namespace, Operator, client_of, eventually, grant, install_crd

from bapsang_local.settings import from_environment
from bapsang_operator import drift
from bapsang_operator.kinds import BY_NAME, LEASE

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks/operator.json"
WRITES = {"create", "update", "patch", "delete"}
PER_NAMESPACE = 10
#: The children that need no other one to be ready; the rest waits for database, Redis and migration.
FIRST = ("ServiceAccount", "NetworkPolicy", "PersistentVolumeClaim", "Service", "StatefulSet", "PodDisruptionBudget")


def _seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    found = {"p50": statistics.median(ordered), "p99": ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]}
    return {"n": len(ordered), **{name: round(value, 3) for name, value in found.items()}, "max": round(ordered[-1], 3)}


class Bench:
    """One control plane, one operator, and what was measured so far."""

    def __init__(self, plane: ControlPlane, client: Client, operator: Operator) -> None:
        self.plane = plane
        self.client = client
        self.operator = operator
        self.results: dict[str, Any] = {}

    def writes(self, since: float, namespace: str | None = None) -> list[dict[str, Any]]:
        """Return the operator's writes, its lease aside, by the audit log."""
        return [
            event
            for event in self.plane.audited()
            if event["verb"] in WRITES
            and event["objectRef"]["resource"] != LEASE.plural
            and _seconds(event["requestReceivedTimestamp"]) >= since
            and namespace in (None, event["objectRef"].get("namespace"))
        ]

    def create(self, count: int) -> None:
        """Time from creating a Community until its first children exist, against kubectl with the same manifests."""
        ours, kubectl = [], []
        for _ in range(count):
            namespace = Namespace(self.client)
            begun = time.time()
            namespace.community()
            namespace.wait_for("Progressing", "True", "WaitingForDatabase")
            last = [one for one in self.writes(begun, namespace.name) if one["objectRef"]["resource"] not in _REPORTS]
            ours.append(max(_seconds(one["stageTimestamp"]) for one in last) - begun)
            manifests = [one for one in namespace.children().values() if one["kind"] in (*FIRST, "Ingress", "Secret")]
            kubectl.append(self._kubectl(manifests))
            namespace.remove()
        pair = {"operator": _quantiles(ours), "kubectl": _quantiles(kubectl)}
        ratios = {name: round(pair["operator"][name] / pair["kubectl"][name], 2) for name in ("p50", "p99")}
        self.results["create"] = {"children": len(manifests), **pair, "ratio": ratios}

    def _kubectl(self, manifests: list[dict[str, Any]]) -> float:
        twin = Namespace(self.client)
        documents = [_bare(one, twin.name) for one in manifests]
        command = [from_environment().bin / "kubectl", "--kubeconfig", self.plane.admin, "apply", "--server-side"]
        begun = time.time()
        subprocess.run(
            [*command, "-f", "-"], input=yaml.safe_dump_all(documents), text=True, check=True, capture_output=True
        )
        elapsed = time.time() - begun
        self.client.delete(BY_NAME_NAMESPACE, None, twin.name)
        return elapsed

    def fill(self, count: int) -> list[Namespace]:
        """Bring `count` Communities up."""
        namespaces = [Namespace(self.client) for _ in range(-(-count // PER_NAMESPACE))]
        begun = time.time()
        names = [(namespace, f"c{index}") for namespace in namespaces for index in range(PER_NAMESPACE)][:count]
        for namespace, name in names:
            namespace.community(name, host=f"{name}.{namespace.name}.example.com")

        def is_up() -> bool:
            for namespace in namespaces:
                namespace.play_controllers()
            return all(
                namespace.condition("Progressing", name).get("reason") == "UpToDate" for namespace, name in names
            )

        eventually(is_up, 600, "all Communities are up")
        children = sum(len(namespace.children()) for namespace in namespaces)
        self.results["fleet"] = {
            "communities": count,
            "children": children,
            "up after s": round(time.time() - begun, 1),
        }
        return namespaces

    def idle(self, seconds: float) -> None:
        """Writes, memory and CPU while nothing changes."""
        self._settle()
        before, begun = self._cpu(), time.time()
        _pass(seconds)
        spent = self._cpu() - before
        self.results["idle"] = {
            "seconds": round(time.time() - begun),
            "writes": len(self.writes(begun)),
            "rss MiB": round(self._memory(), 1),
            "cpu mcore": round(1000 * spent / (time.time() - begun), 2),
        }

    def restart(self, seconds: float) -> None:
        begun = time.time()
        self.operator.restart()
        listed = time.time() - begun
        _pass(seconds)
        self.results["restart"] = {
            "leading after s": round(listed, 2),
            "seconds": round(seconds),
            "writes": len(self.writes(begun)),
            "rss MiB": round(self._memory(), 1),
        }

    def restore(self, namespaces: list[Namespace], count: int) -> None:
        """Time from damaging a child until it is whole again."""
        chosen = random.Random(1)
        times: dict[str, list[float]] = {"edited": [], "deleted": []}
        for turn in range(count):
            namespace = chosen.choice(namespaces)
            how = ("edited", "deleted")[turn % 2]
            kind, name = chosen.choice(_DAMAGE[how])
            full = f"c{chosen.randrange(PER_NAMESPACE)}-{name}"
            plural = BY_NAME[kind].plural
            begun = time.time()
            if how == "deleted":
                namespace.delete(kind, full)
            else:
                namespace.patch(kind, full, {"metadata": {"labels": {"app.kubernetes.io/part-of": "other"}}})

            def restored(
                begun: float = begun, space: str = namespace.name, what: tuple[str, str] = (plural, full)
            ) -> float:
                found = [
                    _seconds(one["stageTimestamp"])
                    for one in self.writes(begun, space)
                    if (one["objectRef"]["resource"], one["objectRef"].get("name")) == what
                ]
                return max(found, default=0.0)

            times[how].append(eventually(restored, 30) - begun)
        self.results["restore"] = {how: _quantiles(found) for how, found in times.items()}

    def take_over(self, folder: Path) -> None:
        """Time until a waiting operator leads, after a clean end and after a kill."""
        found = {}
        for how, number in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
            log, settings = folder / f"{how}.log", self.operator.settings
            waiting = Operator(self.plane.operator, log, settings, python=self.operator.python)
            waiting.start()
            begun = time.time()
            self.operator.signal(number)
            eventually(lambda waiting=waiting: waiting.leads, 30)
            found[f"{how} s"] = round(time.time() - begun, 2)
            self.operator.wait()
            self.operator = waiting
        self.results["take-over"] = found

    def _settle(self) -> None:
        def quiet() -> bool:
            begun = time.time()
            _pass(5)
            return not self.writes(begun)

        eventually(quiet, 120, "no writes any more")

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._pid()}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self) -> float:
        status = Path(f"/proc/{self._pid()}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024

    def _pid(self) -> int:
        assert self.operator.process is not None
        return self.operator.process.pid


_REPORTS = ("communities", "events")
_DAMAGE = {
    "edited": [
        ("Service", "api"),
        ("Deployment", "api-base"),
        ("CronJob", "like-sync"),
        ("PodDisruptionBudget", "api"),
    ],
    "deleted": [("Service", "api"), ("PodDisruptionBudget", "api"), ("CronJob", "like-sync"), ("Ingress", "api")],
}
BY_NAME_NAMESPACE = type(LEASE)("Namespace", "", "v1", "namespaces")


def _bare(found: dict[str, Any], namespace: str) -> dict[str, Any]:
    """Return what somebody would write into a file to get this object."""
    metadata = {key: found["metadata"].get(key) for key in ("name", "labels", "annotations")} | {"namespace": namespace}
    kept = {key: value for key, value in found.items() if key not in {"metadata", "status"}}
    bare: dict[str, Any] = json.loads(json.dumps({**kept, "apiVersion": BY_NAME[found["kind"]].api_version}))
    bare["metadata"] = {key: value for key, value in metadata.items() if value}
    for given in ("clusterIP", "clusterIPs", "volumeName"):
        bare.get("spec", {}).pop(given, None)
    assert drift.digest(bare)
    return bare


def _pass(seconds: float) -> None:
    time.sleep(seconds)


def _stage(folder: Path, python: str) -> Iterator[Bench]:
    found = programs()
    if found is None:
        sys.exit("etcd and kube are not there: run `make up` first.")

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    with running(found, folder, prepare) as plane, client_of(plane.admin) as client:
        grant(client)
        # The settings of the chart, not the short intervals of the tests.
        operator = Operator(plane.operator, folder / "operator.log", {"BAPSANG_RESYNC_SECONDS": "30"}, python=python)
        operator.start()
        eventually(lambda: operator.leads, 5)
        bench = Bench(plane, client, operator)
        yield bench
        bench.operator.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--create", type=int, default=100, help="Communities created one after another")
    parser.add_argument("--communities", type=int, default=200)
    parser.add_argument("--idle", type=float, default=600, help="seconds")
    parser.add_argument("--restore", type=int, default=200)
    parser.add_argument("--python", default=sys.executable, help="interpreter with the packages of the image, no more")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for bench in _stage(Path(folder), chosen.python):
            bench.create(chosen.create)
            namespaces = bench.fill(chosen.communities)
            bench.idle(chosen.idle)
            bench.restart(min(chosen.idle, 120))
            bench.restore(namespaces, chosen.restore)
            bench.take_over(Path(folder))
            machine = {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
            results = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine, **bench.results}
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(results, indent=2) + "\n")
    for name, value in results.items():
        sys.stdout.write(f"{name:10} {json.dumps(value)}\n")


if __name__ == "__main__":
    main()
