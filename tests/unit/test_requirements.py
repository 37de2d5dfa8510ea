"""The locked requirement files, against the metadata of the packages that are installed."""

import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["api", "operator", "tests"])
def test_whatever_a_locked_package_requires_is_locked_too(name: str) -> None:
    """pip refuses to install a file that leaves one out, and only on a machine that does not have it yet."""
    text = (ROOT / name / "requirements.txt").read_text()
    locked = {canonicalize_name(found) for found in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
    needed = {}
    for package in locked:
        try:
            required = [Requirement(line) for line in requires(package) or ()]
        except PackageNotFoundError:  # of another platform or version of Python
            continue
        for requirement in required:
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                needed[canonicalize_name(requirement.name)] = package
    assert len(locked) > 20
    assert {package: by for package, by in needed.items() if package not in locked} == {}
