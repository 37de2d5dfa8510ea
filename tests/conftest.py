"""Says how long each part of the suite took, before pytest's own summary; lets none fail for being slow; a key to sign with."""

from __future__ import annotations

import gc
import itertools
import logging
import os
import socket
import traceback
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests import nightly_parts
from tests.nightly_marker import pytest_addoption, pytest_collection_modifyitems
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A busy machine is no failure; hypothesis would otherwise give each example 0.2 s.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

__all__ = ["pytest_addoption", "pytest_collection_modifyitems"]  # hooks
_births: dict[int, str] = {}
_seconds: defaultdict[str, float] = defaultdict(float)
_count: defaultdict[str, int] = defaultdict(int)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Give a worker whole modules, in order, so that it makes a module's fixtures once; one cluster has one user."""
    return _ByModule(config, log)


class _ByModule(LoadScopeScheduling):
    """The adapter to a private name of pytest-xdist, which has no public one for how tests are grouped."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/e2e" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


def pytest_collection_finish() -> None:
    """What has been imported stays until the end: the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_configure() -> None:
    """Let a socket that nobody closed say where it was made: the collector finds it long after the test that left it."""
    make, show = socket.socket.__init__, socket.socket.__repr__

    def made(self: socket.socket, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        frames = traceback.walk_stack(None)
        places = [f"{Path(frame.f_code.co_filename).name}:{line}" for frame, line in itertools.islice(frames, 25)]
        _births[self.fileno()] = f"{os.environ.get('PYTEST_CURRENT_TEST', '')} {' '.join(places)}"

    socket.socket.__init__ = made  # type: ignore[method-assign]
    socket.socket.__repr__ = lambda self: f"{show(self)} made in {_births.get(self.fileno(), '?')}"  # type: ignore[method-assign]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = "/".join(Path(report.location[0]).parts[1:-1])
    _seconds[name] += report.duration
    _count[name] += report.when == "call"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _seconds:
        return
    terminalreporter.section("parts")
    for name in sorted(_seconds):
        terminalreporter.write_line(f"{name:<28}{_count[name]:>6} tests{_seconds[name]:>9.1f} s")
    usual = terminalreporter.verbosity >= 0 and not terminalreporter.config.getoption("--nightly")
    if usual and (warning := nightly_parts.warning()):
        terminalreporter.write_line(warning, yellow=True)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a test's command line set up for its process would write to a stream that is closed by the next test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def signing_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An RSA key as the operator mounts it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path = tmp_path_factory.mktemp("keys") / "signing-key.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path
