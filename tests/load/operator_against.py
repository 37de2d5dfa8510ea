"""Two versions of the operator on one apiserver, in turn: `make bench-operator AGAINST=commit`.

Each measurement brings new Communities up, watches them while nothing changes, and deletes them. The CRD and the rights
are those of this checkout: fields are only ever added.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from tests.integration.operator.client import Client, client_of, grant, install_crd
from tests.integration.operator.controlplane import ControlPlane, Programs, programs, running
from tests.integration.operator.process import Operator
from tests.load import results
from tests.load.bench.machine import revision
from tests.load.bench.tables import show
from tests.load.operator_bench import Bench
from tests.load.versions import OPERATOR, ROOT, Pairs, cells, unpacked
from tests.waiting import eventually

from bapsang_local.failure import Failure
from bapsang_local.settings import from_environment

_RECONCILES = "bapsang_operator_reconcile_seconds_count"
#: What is compared, and its unit.
UNITS = {
    "bring-up s": "seconds until all Communities are up, over their number",
    "bring-up cpu ms": "CPU a Community",
    "bring-up requests": "requests to the apiserver a Community",
    "bring-up reconciles": "reconciles a Community",
    "rest cpu mcore": "thousandths of a core while nothing changes",
    "rest requests": "requests a minute while nothing changes",
    "rest reconciles": "reconciles a minute while nothing changes",
    "rss MiB": "resident memory at rest",
}


def main(chosen: argparse.Namespace) -> int:
    """Compare, print a table and save `against-operator.json` in the cache."""
    found = programs()
    if found is None:
        raise SystemExit("etcd and kube are not there: run `make up` first.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.keep or Path(scratch)
        try:
            name, package = unpacked(chosen.against, "operator", folder)
        except Failure as failure:
            raise SystemExit(f"{failure.problem} {failure.advice}") from None
        pairs = compare(found, folder, chosen.python, ((str(package),), OPERATOR), chosen)
    row = pairs.record()
    body = [[key, row["old"][key], row["new"][key], *cells(row["new_over_old"][key])] for key in UNITS]
    show(f"operator: {name} against this checkout", ["", name, "this checkout", "new/old", "range"], body)
    path = from_environment().home / "bench" / "against-operator.json"
    heading = {
        "commits": {"old": name, "new": revision(ROOT)},
        "communities": chosen.communities,
        "pairs": chosen.pairs,
    }
    results.save(path, {**heading, **row, "units": UNITS})
    return 0


def compare(
    found: Programs,
    folder: Path,
    python: str,
    paths: tuple[tuple[str, ...], tuple[str, ...]],
    chosen: argparse.Namespace,
) -> Pairs:
    """Measure two versions, each given by the folder that holds its package."""

    def prepare(kubeconfig: Path) -> None:
        with client_of(kubeconfig) as admin:
            install_crd(admin)

    pairs = Pairs()
    with running(found, folder, prepare) as plane, client_of(plane.admin) as client:
        grant(client)
        for number in range(chosen.pairs):

            def run(at: int) -> dict[str, float]:
                own = folder / f"pair-{number}-{'old' if at == 0 else 'new'}"  # noqa: B023 - called at once
                own.mkdir()
                operator = Operator(
                    plane.operator, own / "log", {"BAPSANG_RESYNC_SECONDS": "30"}, path=paths[at], python=python
                )
                return measure(plane, client, operator, own, found.kube, chosen)

            pairs.add(number, run)
    return pairs


def measure(
    plane: ControlPlane, client: Client, operator: Operator, folder: Path, kube: Path, chosen: argparse.Namespace
) -> dict[str, float]:
    """Bring Communities up under a version of the operator, watch it rest, and delete them."""
    operator.start()
    try:
        eventually(lambda: operator.leads, 60, "the operator leads")
        bench = Bench(plane, client, operator, folder, kube)
        before, usage = _counts(bench), results.Usage(bench.pid())
        namespaces = bench.fill(chosen.communities)
        seconds, spent, filled = bench.found["fleet"]["up after s"], usage.seconds(), _counts(bench)
        bench.settle()
        quiet, minutes = _counts(bench), chosen.idle / 60
        rest = bench.watch(chosen.idle)
        rested = _counts(bench)
        for namespace in namespaces:
            namespace.remove()
    finally:
        operator.stop()
    count = chosen.communities
    return {
        "bring-up s": seconds / count,
        "bring-up cpu ms": 1000 * spent / count,
        "bring-up requests": (filled["requests"] - before["requests"]) / count,
        "bring-up reconciles": (filled["reconciles"] - before["reconciles"]) / count,
        "rest cpu mcore": rest["cpu mcore"],
        "rest requests": (rested["requests"] - quiet["requests"]) / minutes,
        "rest reconciles": (rested["reconciles"] - quiet["reconciles"]) / minutes,
        "rss MiB": rest["rss MiB"],
    }


def _counts(bench: Bench) -> dict[str, Any]:
    """Return the requests of the operator by the audit log, and its reconciles by its own count."""
    lines = bench.operator.admin("/metrics").text.splitlines()
    reconciles = sum(float(line.split()[-1]) for line in lines if line.startswith(_RECONCILES))
    return {"requests": len(bench.plane.audited()), "reconciles": reconciles}
