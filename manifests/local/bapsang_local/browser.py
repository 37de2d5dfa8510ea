"""The browser of the end-to-end tests: the machine's own Chromium, or one installed here."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from . import shell
from .failure import Failure
from .from_packages import debian
from .progress import say, step
from .settings import Settings

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
PLAYWRIGHT_SOURCE = "https://cdn.playwright.dev/"
ADVICE = f"Install Chromium or Google Chrome; any of {', '.join(NAMES)} on the PATH will do."


def find() -> Path | None:
    """Return the Chromium on the PATH, else the newest one that Playwright installed. None when there is none."""
    if found := next(filter(None, map(shutil.which, NAMES)), None):
        return Path(found)
    cache = os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright"
    installed = sorted(Path(cache).glob("chromium-*/chrome-linux*/chrome"))
    return installed[-1] if installed else None


def ensure(settings: Settings) -> Path:
    """Return a Chromium that starts. Raises Failure when there is none and none can be installed."""
    if not find():
        say("There is no Chromium for the end-to-end tests: installing one.")
        log = settings.logs / "browser-install.log"
        if os.geteuid() == 0 and debian.here():
            with step("Chromium installed"):
                debian.update(log)
                debian.install(["chromium"], log)
        else:
            _by_playwright(log)
    found = find()
    if found is None:
        raise Failure("Chromium was installed, but no program of that name is there.", ADVICE)
    started = shell.attempt([found, "--version"], timeout=60)
    if started.returncode != 0:
        said = started.stderr.decode(errors="replace").strip()
        raise Failure(
            f"{found} does not start: {said[-300:]}",
            f"Libraries may be missing: `sudo .venv/bin/playwright install-deps chromium`. Or: {ADVICE}",
        )
    return found


def _by_playwright(log: Path) -> None:
    """Let Playwright, which the tests use, download its Chromium into the user's cache. Needs no root."""
    program = shutil.which("playwright")
    if program is None:
        raise Failure(
            "There is no Chromium for the end-to-end tests, nor Playwright to install one.",
            f"Run `make browser`, which installs Playwright first. Or: {ADVICE}",
        )
    try:
        urllib.request.urlopen(PLAYWRIGHT_SOURCE, timeout=15).close()
    except urllib.error.HTTPError:
        pass  # an answer
    except OSError as error:
        raise Failure(
            f"There is no Chromium for the end-to-end tests, and {PLAYWRIGHT_SOURCE} does not answer ({error}).",
            f"{ADVICE} Root on Debian or Ubuntu gets the distribution's: `sudo make browser`.",
        ) from error
    with step("Chromium installed (Playwright)"):
        shell.logged([program, "install", "chromium"], log)
