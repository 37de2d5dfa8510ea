"""What `make seed` runs."""

import pytest
from typer.main import get_command

from bapsang_api.__main__ import app
from bapsang_local.cluster import Cluster
from bapsang_local.engine import Engine
from bapsang_local.failure import Failure
from bapsang_local.seeding import DATABASE, SIZES, run
from bapsang_local.settings import from_environment


@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_a_command_that_the_api_knows(size: str) -> None:
    command = get_command(app).commands["seed"]  # type: ignore[attr-defined]
    given = command.make_context("seed", [*SIZES[size], "--append", "--into", DATABASE]).params
    assert given["posts"] >= 10_000
    assert not given["wipe"]


def test_an_unknown_size_is_refused_before_anything_is_asked() -> None:
    settings = from_environment()
    cluster = Cluster(Engine(None, ours=False), settings, settings.bin / "kubectl")
    with pytest.raises(Failure, match="SIZE=huge") as refused:
        run(cluster, "huge")
    assert "small, medium" in refused.value.advice
