"""pytest's side of the nightly tier: which tests a run leaves out. Its hooks are those of tests/conftest.py."""

from __future__ import annotations

import pytest

from . import nightly_parts


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--nightly",
        choices=[*nightly_parts.parts()],
        help="run the tests that are marked for this part of the nightly tier",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what belongs to the nightly tier, or all the rest where a part of it is asked for."""
    wanted = config.getoption("--nightly")
    kept = [item for item in items if _part(item) == wanted]
    dropped = [item for item in items if _part(item) != wanted]
    if dropped:
        config.hook.pytest_deselected(items=dropped)
        items[:] = kept


def _part(item: pytest.Item) -> str | None:
    marker = item.get_closest_marker("nightly")
    if marker is None:
        return None
    if len(marker.args) != 1 or marker.args[0] not in nightly_parts.parts():
        raise pytest.UsageError(f"{item.nodeid}: nightly{marker.args} names no part of tests/nightly.toml")
    return str(marker.args[0])
