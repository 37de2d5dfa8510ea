"""`make test` as on a laptop: a clean clone, images from a registry, an unprivileged user who may use Docker.

`python -m tests.registry.whole [ARGS]` as root; ARGS goes to pytest. Longer than a part of the nightly tier may take.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from bapsang_local import engine as engines
from bapsang_local import programs, shell
from bapsang_local.settings import ROOT, from_environment

from .laptop import GROUP, NODE, REGISTRY, USER, filled, running

SECONDS = 80 * 60


def main() -> int:
    """Return the exit code of `make test`. Its output is shown."""
    settings, engine = from_environment(), engines.find()
    if engine is None:
        sys.exit("No Docker engine answers: run `make images` first.")
    with tempfile.TemporaryDirectory(prefix="bapsang-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "laptop").mkdir()
        served = filled(folder, engine, settings)
        with running(folder / "laptop", served, engine, settings, current=False) as laptop:
            user = laptop.home / "user"
            shell.output(["git", "clone", "-q", ROOT, user / "clone"])
            (user / "bapsang" / "bin").mkdir(parents=True)
            for program in programs.table().values():
                if program.test:  # built from source on every machine, which is not what is tried here
                    shutil.copy(programs.build(program.name, settings), user / "bapsang" / "bin")
            shell.output(["chown", "-R", f"{USER}:{GROUP}", user])
            chosen = {"BAPSANG_IMAGES": "pull", "BAPSANG_MIRROR": REGISTRY, "BAPSANG_NODE_IMAGE": NODE}
            command = ["make", "-C", user / "clone", "test", f"ARGS={' '.join(sys.argv[1:])}"]
            return laptop.run(command, SECONDS, shown=True, **chosen).returncode


if __name__ == "__main__":
    sys.exit(main())
