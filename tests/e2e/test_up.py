"""`make up` again, on a running platform, changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys

from bapsang_local.settings import ROOT

from .conftest import Community
from .reading import Reader

KINDS = "deployments,statefulsets,daemonsets,services,ingresses,hpa,pdb,cronjobs,serviceaccounts,networkpolicies,communities,configmaps"


def test_a_second_make_up_ends_well_and_changes_nothing(sample: Community, reader: Reader) -> None:
    def generations() -> dict[str, tuple[str, object]]:
        found = reader.items(KINDS)
        return {
            f"{item['kind']} {item['metadata']['namespace']}/{item['metadata']['name']}": (
                item["metadata"]["uid"],
                item["metadata"].get("generation"),
            )
            for item in found
            if not item["metadata"]["namespace"].startswith("e2e-")  # Communities of other tests, on their way out
        }

    before = generations()
    env = {**os.environ, "PYTHONPATH": str(ROOT / "manifests/local")}
    result = subprocess.run(
        [sys.executable, "-m", "bapsang_local", "up"], capture_output=True, text=True, env=env, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "three likes in MySQL" in result.stdout
    assert generations() == before
