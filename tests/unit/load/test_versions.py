"""Comparing two versions: the order of measurements, the ratios, the code of a commit, and data that both can use."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.load import versions
from tests.load.bench import against
from tests.load.bench.against import Version
from tests.load.versions import Pairs

from bapsang_local.failure import Failure


def test_a_drift_of_the_machine_meets_both_versions_alike() -> None:
    """Each measurement is dearer than the one before it by as much, which A B A B would count as the new version's."""
    asked: list[int] = []

    def run(at: int) -> dict[str, float]:
        asked.append(at)
        return {"cpu": 100.0 + 10 * len(asked)}

    pairs = Pairs()
    for number in range(4):
        pairs.add(number, run)
    assert asked == [0, 1, 1, 0, 0, 1, 1, 0]
    old, new = ([one["cpu"] for one in found] for found in pairs.both)
    assert sum(old) == sum(new)


def test_ratios_are_computed_within_a_pair() -> None:
    pairs = Pairs()
    for number, (old, new) in enumerate([(100.0, 110.0), (400.0, 400.0), (10.0, 13.0)]):
        pairs.add(number, lambda at, both=(old, new): {"cpu": both[at], "errors": at})  # type: ignore[misc]
    assert pairs.ratio("cpu") == {"median": 1.1, "low": 1.0, "high": 1.3}
    assert pairs.record("errors") == {
        "old": {"cpu": 100.0, "errors": 0},
        "new": {"cpu": 110.0, "errors": 3},
        "new_over_old": {"cpu": {"median": 1.1, "low": 1.0, "high": 1.3}},
    }


def test_of_nothing_used_there_is_no_ratio() -> None:
    pairs = Pairs()
    pairs.add(0, lambda at: {"cpu": float(at)})
    assert pairs.ratio("cpu") is None
    assert versions.cells(pairs.ratio("cpu")) == ["–", "–"]


def test_the_code_of_a_commit_is_unpacked(tmp_path: Path) -> None:
    name, folder = versions.unpacked("HEAD", "api", tmp_path)
    assert len(name) >= 10
    assert (folder / "bapsang_api/__main__.py").is_file()
    assert not (folder.parent / "operator").exists()


def test_a_commit_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="There is no commit nowhere"):
        versions.unpacked("nowhere", "api", tmp_path)


def version(folder: Path, name: str, *revisions: str) -> Version:
    migrations = folder / name / "bapsang_api/migrations/versions"
    migrations.mkdir(parents=True)
    for revision in revisions:
        (migrations / f"{revision}.py").touch()
    return Version(name, folder / name)


def test_data_are_seeded_by_the_version_with_fewer_migrations(tmp_path: Path) -> None:
    few = version(tmp_path, "few", "r0001_a")
    more = version(tmp_path, "more", "r0001_a", "r0002_b")
    same = version(tmp_path, "same", "r0001_a", "r0002_b")
    assert against.seeder(few, more) == few == against.seeder(more, few)
    assert against.seeder(more, same) == same, "the data of this checkout are in the cache more often"


def test_versions_whose_migrations_part_are_refused_by_name(tmp_path: Path) -> None:
    one, other = version(tmp_path, "one", "r1", "r2_x"), version(tmp_path, "other", "r1", "r2_y")
    with pytest.raises(Failure, match=r"one and other .*\(r2_x\.py, r2_y\.py\)"):
        against.seeder(one, other)
