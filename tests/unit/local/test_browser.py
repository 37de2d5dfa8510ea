"""Where the browser of the end-to-end tests comes from, on machines that have none."""

from __future__ import annotations

import http.server
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bapsang_local import browser
from bapsang_local.failure import Failure
from bapsang_local.from_packages import debian
from bapsang_local.settings import Settings


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on the PATH, empty, on a Debian where root asks."""
    folder = tmp_path / "bin"
    folder.mkdir()
    release = tmp_path / "os-release"
    release.write_text("ID=debian\n")
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("PLAYWRIGHT_BROWSERS_PATH", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(debian, "_RELEASE", release)
    return folder


@pytest.fixture(params=["without root", "not Debian"])
def elsewhere(request: pytest.FixtureRequest, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which packages of Debian cannot be installed."""
    program(programs / "apt-get", "exit 77")
    if request.param == "without root":
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    else:
        (programs.parent / "os-release").write_text("ID=arch\n")
    return programs


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The server that Playwright downloads from, which has no page at its root."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(browser, "PLAYWRIGHT_SOURCE", f"http://127.0.0.1:{server.server_port}/")
        yield
        server.shutdown()


def program(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def ensure(programs: Path) -> Path:
    return browser.ensure(Settings(home=programs.parent, context=None, ingress_port=8880, images="auto"))


def making(path: Path) -> str:
    return f"/bin/mkdir -p {path.parent}; echo '#!/bin/sh' > {path}; /bin/chmod +x {path}"


@pytest.mark.parametrize("name", browser.NAMES)
def test_a_chromium_of_the_machines_own_is_used(programs: Path, name: str) -> None:
    own = program(programs / name)
    assert ensure(programs) == own


def test_without_one_root_on_debian_gets_the_distributions(programs: Path) -> None:
    made, lists = programs / "chromium", programs.parent / "lists"
    # As on a new machine: no package is known before the lists were fetched.
    install = f"[ -e {lists} ] && case $* in *-y*chromium*) {making(made)} ;; esac"
    program(programs / "apt-get", f'if [ "$1" = update ]; then echo > {lists}; else {install}; fi')
    assert ensure(programs) == made


def test_a_package_without_the_program_is_no_success(programs: Path) -> None:
    program(programs / "apt-get")
    with pytest.raises(Failure, match="no program") as refused:
        ensure(programs)
    assert "google-chrome" in refused.value.advice


@pytest.mark.usefixtures("source")
def test_everybody_else_gets_playwrights(elsewhere: Path) -> None:
    made = elsewhere.parent / ".cache/ms-playwright/chromium-1234/chrome-linux64/chrome"
    program(elsewhere / "playwright", f'[ "$*" = "install chromium" ] && {making(made)}')
    assert ensure(elsewhere) == made
    (elsewhere / "playwright").unlink()
    assert ensure(elsewhere) == made, "found again, and not installed once more"


def test_a_source_that_does_not_answer_is_told(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(elsewhere / "playwright", "exit 78")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setattr(browser, "PLAYWRIGHT_SOURCE", f"http://127.0.0.1:{closed.getsockname()[1]}/")
    with pytest.raises(Failure, match="does not answer") as refused:
        ensure(elsewhere)
    assert "chromium" in refused.value.advice
    assert "sudo make browser" in refused.value.advice


def test_a_browser_that_does_not_start_is_told_with_what_it_said(programs: Path) -> None:
    program(programs / "chromium", "echo libnss3.so: cannot open shared object file >&2; exit 127")
    with pytest.raises(Failure, match=r"does not start: libnss3\.so") as refused:
        ensure(programs)
    assert "install-deps" in refused.value.advice
