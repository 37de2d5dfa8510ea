"""Many Communities at their peak on many fake nodes: where the real scheduler puts the pods, and how soon. `make bench-fleet`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.operator.namespace import Namespace
from tests.integration.operator.process import Operator
from tests.load import fleet, results
from tests.load.fleet import Fleet
from tests.load.versions import OPERATOR
from tests.waiting import eventually

from bapsang_operator import names

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs/benchmarks/fleet.json"
#: What is promised; the script fails where it is not kept.
MOST_SKEW, MOST_SECONDS = 1, 300
BASE = 3


def measure(cluster: Fleet, communities: int, burst: int) -> dict[str, Any]:
    """Create the Communities with a window open, wait until all run at their peak, and judge every pod's place."""
    begun = time.monotonic()
    wanted = {"name": "peak", "schedule": "* * * * *", "duration": "60m", "replicas": burst}
    created: list[tuple[Namespace, str]] = []
    for number in range(communities):
        arch = ("any", *fleet.ARCHES)[number % 3]
        tiers = {"base": {"replicas": BASE}, "burst": {"maxReplicas": burst}}
        created.append((fleet.community(cluster, api={"arch": arch, **tiers}, prewarm=[wanted]), arch))
    left = [namespace for namespace, _ in created]

    def all_up() -> bool:
        left[:] = [namespace for namespace in left if not fleet.is_settled(namespace)]
        return not left

    fleet.until(all_up, MOST_SECONDS * 3, f"{communities} Communities at their peak")
    seconds = time.monotonic() - begun
    return {"communities": communities, "converged after s": round(seconds, 1), **_places(cluster, created)}


def _places(cluster: Fleet, created: list[tuple[Namespace, str]]) -> dict[str, Any]:
    nodes = cluster.nodes()
    found: Counter[str] = Counter()
    skews = []
    for namespace, arch in created:
        zones = Counter(dict.fromkeys(fleet.ZONES, 0))
        for pod in cluster.pods(namespace.name):
            labels = pod["metadata"]["labels"]
            if labels.get(names.LABEL_COMPONENT) != names.Component.API:
                continue
            place = nodes[pod["spec"]["nodeName"]]
            is_spot = place[names.SPOT_NODE_LABEL] == names.SPOT_NODE_VALUE
            tier = labels[names.LABEL_TIER]
            found[f"{tier} pods"] += 1
            found[f"{tier} on spot"] += is_spot
            found["wrong architecture"] += arch not in {"any", place["kubernetes.io/arch"]}
            zones[place["topology.kubernetes.io/zone"]] += 1
        skews.append(max(zones.values()) - min(zones.values()))
    return dict(sorted(found.items())) | {"zone skew": max(skews), "skews": dict(sorted(Counter(skews).items()))}


def verdicts(found: dict[str, Any], communities: int, burst: int) -> dict[str, bool]:
    """Return by name whether each promise was kept."""
    return {
        "every pod there": (found["base pods"], found["burst pods"]) == (communities * BASE, communities * burst),
        "base on spot 0": found["base on spot"] == 0,
        "wrong architecture 0": found["wrong architecture"] == 0,
        f"zone skew <= {MOST_SKEW}": found["zone skew"] <= MOST_SKEW,
        f"converged < {MOST_SECONDS} s": found["converged after s"] < MOST_SECONDS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--communities", type=int, default=50)
    parser.add_argument("--burst", type=int, default=17, help="burst pods of each Community at its peak")
    parser.add_argument("--python", default=sys.executable, help="interpreter that runs the operator")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--keep", type=Path, help="folder for the programs' logs, instead of a temporary one")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        with fleet.standing(folder) as cluster:
            cluster.add_nodes(chosen.nodes)
            settings = {"BAPSANG_RESYNC_SECONDS": "30"}
            operator = Operator(
                cluster.plane.operator, folder / "operator.log", settings, path=OPERATOR, python=chosen.python
            )
            operator.start()
            try:
                eventually(lambda: operator.leads, 30, "the operator leads")
                found = measure(cluster, chosen.communities, chosen.burst)
            finally:
                operator.stop()
    kept = verdicts(found, chosen.communities, chosen.burst)
    results.save(chosen.output, {"nodes": chosen.nodes, **found, "kept": kept})
    return 0 if all(kept.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
