"""The engine whose images fill the registry."""

from __future__ import annotations

import pytest

from bapsang_local import engine as engines
from bapsang_local.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The Docker engine with the images that this machine built."""
    found = engines.find()
    if found is None:
        pytest.fail("No Docker engine answers: run `make up` first.")
    return found
