"""Installing the custom resource: a CRD that was just applied is waited for, whatever `kubectl wait` thinks of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from bapsang_local import deploy
from bapsang_local.cluster import Cluster
from bapsang_local.failure import Failure

#: What kubectl 1.34 said of a CRD whose conditions the apiserver had not written yet.
NOT_YET = "error: .status.conditions accessor error: <nil> is of the type <nil>, expected []interface{}"


class Answers:
    """A cluster whose `kubectl` fails with these words, one after the other, and then succeeds."""

    def __init__(self, *words: str) -> None:
        self.left = list(words)
        self.calls = 0

    def kubectl(self, *arguments: Any) -> str:
        self.calls += 1
        if self.left:
            raise Failure("kubectl exited with 1", self.left.pop(0))
        return "condition met"


def _wait(cluster: Answers) -> None:
    deploy.established(cast(Cluster, cluster), Path("crd.yaml"))


def test_crd_without_conditions_is_asked_for_again() -> None:
    cluster = Answers(NOT_YET, NOT_YET)
    _wait(cluster)
    assert cluster.calls == 3


def test_any_other_failure_is_told_at_once() -> None:
    cluster = Answers("error: timed out waiting for the condition")
    with pytest.raises(Failure, match="kubectl exited"):
        _wait(cluster)
    assert cluster.calls == 1
