"""Programs of Debian that tests need beside those of the local cluster, installed where they are missing."""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

from bapsang_local.failure import Failure
from bapsang_local.from_packages import debian


@cache
def program(name: str, package: str) -> str:
    """Return the path of a program; root on Debian or Ubuntu gets its package. Raises Failure when there is none."""
    if shutil.which(name) is None:
        if os.geteuid() != 0 or not debian.here():
            raise Failure(f"There is no {name} for the tests of photos.", f"Install it: Debian's package is {package}.")
        log = Path(tempfile.gettempdir()) / f"bapsang-{package}.log"
        debian.update(log)
        debian.install([package], log)
    found = shutil.which(name)
    if found is None:
        raise Failure(f"{package} was installed, but {name} is not there.", f"Install {name}.")
    return found
