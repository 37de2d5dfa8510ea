"""A made-up community for the local cluster: the API's own seeder, run in one of its pods."""

from __future__ import annotations

import json
from typing import Final

from .cluster import Cluster
from .failure import Failure
from .progress import step
from .settings import COMMUNITY, COMMUNITY_NAMESPACE

#: What fits into the memory of a pod that serves; a larger one is made by `bapsang-api seed` from outside.
SIZES: Final = {
    "small": ("--users", "1000", "--posts", "10000", "--comments-per-post", "3", "--likes", "20000"),
    "medium": ("--users", "10000", "--posts", "100000", "--comments-per-post", "3", "--likes", "200000"),
}
#: The embedded database, named so that nothing else can be meant.
DATABASE: Final = f"{COMMUNITY}-mysql/bapsang"


def run(cluster: Cluster, size: str) -> str:
    """Add a community of `size` to what is there, and return what to say about it. Raises Failure."""
    if size not in SIZES:
        raise Failure(f"SIZE={size} is not a size.", f"Give one of {', '.join(SIZES)}.")
    command = ("bapsang-api", "seed", *SIZES[size], "--append", "--into", DATABASE)
    with step(f"{size} community seeded"):
        pod = cluster.kubectl(
            *("get", "pods", "-n", COMMUNITY_NAMESPACE, "--selector", "app.kubernetes.io/component=api"),
            *("--field-selector", "status.phase=Running", "--output", "jsonpath={.items[0].metadata.name}"),
        ).strip()
        said = cluster.kubectl(
            "exec", "-n", COMMUNITY_NAMESPACE, pod, "--", "sh", "-c", '"$@" 2>&1', "seed", *command, timeout=900
        )
    done = json.loads(said.splitlines()[-1])
    return f"{done['rows']:,} rows in {done['seconds']} s. Log in as {done['login']}, password Bapsang-2026!"
