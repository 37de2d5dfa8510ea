"""The local cluster: one command that turns a laptop or a CI machine into a small EKS look-alike and back.

Standard library only: it runs before anything is installed. It never talks to a cluster other than its own
or the one that `BAPSANG_CONTEXT` names.
"""

import sys

# First of all, in words that Python 3.6 understands: whatever is imported next fails there with a traceback.
if sys.version_info < (3, 11):  # noqa: UP036 - what runs this is whatever `python3` is on a newcomer's machine
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    sys.exit(
        f"\n✗ Python {version} is too old.\n  → Install Python 3.11 or newer, and name it: `make up PYTHON=python3.11`."
    )
if sys.platform != "linux":
    sys.exit(
        f"\n✗ {sys.platform} is not supported.\n  → Cluster and tests need Linux: use a machine or a virtual machine with it."
    )
