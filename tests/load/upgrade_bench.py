"""Upgrades the operator under live Communities and takes the upgrade back: which pods restart. `make bench-upgrade`.

The previous version is the package of a git commit (`PREVIOUS=`); pods are made by the real controllers and scheduler on
fake nodes, so a changed pod template really replaces them. A restart that CHANGELOG.md announces is none that counts.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.load import fleet, results
from tests.load.audit import Audit
from tests.load.fleet import Fleet
from tests.load.versions import unpacked
from tests.unit.operator.announced import restarts
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks/upgrade.json"
NODES, BURST = 48, 3


def pods(cluster: Fleet, communities: list[Namespace]) -> dict[str, str]:
    """Return the workload of every running pod by its uid."""
    return {
        pod["metadata"]["uid"]: _workload(pod)
        for namespace in communities
        for pod in cluster.pods(namespace.name)
        if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
    }


def _workload(pod: dict[str, Any]) -> str:
    owner = pod["metadata"]["ownerReferences"][0]
    # The name of a ReplicaSet is that of its Deployment and a hash.
    kind, name = ("Deployment", owner["name"].rpartition("-")[0]) if owner["kind"] == "ReplicaSet" else owner
    return f"{kind} {name.removeprefix('c-')}"


def _settle(cluster: Fleet, operator: Operator, communities: list[Namespace]) -> int:
    """Wait until an operator leads, has written nothing for ten seconds and all is well; returns how much it wrote."""
    audit = Audit(cluster.plane)
    mark = begun = audit.mark()
    operator.start()
    eventually(lambda: operator.leads, 40, "the operator leads")

    def quiet() -> bool:
        nonlocal mark
        before, mark = mark, audit.mark()
        fleet.rest(10)
        return not audit.writes(mark) and before != mark and all(map(fleet.is_settled, communities))

    fleet.until(quiet, 300, "the operator has settled")
    return len(audit.writes(begun))


def measure(cluster: Fleet, python: str, packages: dict[str, Path], count: int) -> dict[str, Any]:
    """Run one version after another over the same Communities; return for each what it wrote and which pods went."""
    communities: list[Namespace] = []
    before: dict[str, str] = {}
    found: dict[str, Any] = {"communities": count}
    for step, (version, package) in enumerate(packages.items()):
        log, settings = cluster.folder / f"operator-{step}.log", {"BAPSANG_RESYNC_SECONDS": "5"}
        operator = Operator(cluster.plane.operator, log, settings, path=(str(package),), python=python)
        if not communities:
            wide = {"base": {"replicas": 2}, "burst": {"minReplicas": BURST}}
            communities = [fleet.community(cluster, api=wide) for _ in range(count)]
        try:
            writes = _settle(cluster, operator, communities)
            after = pods(cluster, communities)
        finally:
            operator.stop()
        gone = sorted({workload for uid, workload in before.items() if uid not in after})
        found[version] = {"pods": len(after), "writes": writes, "pods replaced": gone}
        before = after
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--previous", required=True, help="tag or commit of the previous version")
    parser.add_argument("--package", type=Path, default=ROOT / "operator", help="folder of the version to upgrade to")
    parser.add_argument("--communities", type=int, default=20)
    parser.add_argument("--python", default=sys.executable, help="interpreter with the operator's packages, not itself")
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        old, new = unpacked(chosen.previous, "operator", folder)[1], chosen.package
        with fleet.standing(folder) as cluster:
            cluster.add_nodes(NODES)
            versions = {chosen.previous: old, "this one": new, f"{chosen.previous} again": old}
            found = measure(cluster, chosen.python, versions, chosen.communities)
    replaced = {name for step in list(found.values())[2:] for name in step["pods replaced"]}
    surprises = sorted(replaced - restarts())
    kept = {"0 restarts but those announced": not surprises}
    results.save(chosen.output, {"previous": chosen.previous, **found, "surprises": surprises, "kept": kept})
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
