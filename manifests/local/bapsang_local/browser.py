"""The browser of the end-to-end tests: the machine's own Chromium, or the distribution's, installed here."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .failure import Failure
from .from_packages import debian
from .progress import say, step
from .settings import Settings

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find() -> Path | None:
    """Return the Chromium on the PATH, None when there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else None


def ensure(settings: Settings) -> Path:
    """Return a Chromium. Raises Failure when there is none and none can be installed."""
    if found := find():
        return found
    if os.geteuid() != 0:
        raise Failure(
            "There is no Chromium for the end-to-end tests, and only root can install one.",
            "Install it (`sudo apt-get install chromium`, or Google Chrome), or run `sudo make browser`.",
        )
    if not debian.here():
        raise Failure(
            "There is no Chromium for the end-to-end tests, and this is neither Debian nor Ubuntu.",
            f"Install one from your distribution; any of {', '.join(NAMES)} on the PATH will do.",
        )
    say("There is no Chromium for the end-to-end tests: installing the distribution's.")
    log = settings.logs / "browser-install.log"
    with step("Chromium installed"):
        debian.update(log)
        debian.install(["chromium"], log)
    if found := find():
        return found
    raise Failure(
        "The distribution's package chromium brought no program of that name.",
        f"Install Google Chrome; any of {', '.join(NAMES)} on the PATH will do.",
    )
