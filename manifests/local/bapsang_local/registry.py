"""Pulling images, straight or through a mirror; a failed pull says of what kind the failure is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import shell
from .docker import Engine
from .failure import Failure
from .progress import step
from .settings import Settings

PULL_SECONDS = 900
BUILD_INSTEAD = (
    "or build the images from packages: BAPSANG_IMAGES=build (root on Debian, 20 to 35 minutes on two cores)"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way for a pull to fail: how Docker words it, and what it means. `answers`: a registry is there."""

    words: str
    problem: str
    advice: str
    answers: bool = True


# The first that matches. «while waiting for connection» is a time-out as well, of a connection that never came about.
KINDS = (
    Kind(
        r"toomanyrequests|rate.?limit|\b429\b",
        "limits how often this address may pull (429)",
        "Wait, `docker login` for a higher limit, name a mirror in BAPSANG_MIRROR",
    ),
    Kind(
        r"no such host|server misbehaving|name resolution|lookup .* i/o timeout|connection refused|no route to host"
        r"|network is unreachable|dial tcp [^ ]+ i/o timeout|while waiting for connection",
        "cannot be reached",
        "Check network, proxy and VPN, name a mirror in BAPSANG_MIRROR",
        answers=False,
    ),
    Kind(
        r"x509|certificate", "has a certificate that Docker does not trust", "Give Docker the authority's certificate"
    ),
    Kind(
        r"unauthorized|denied|no basic auth|authentication|\b40[13]\b",
        "wants credentials, or does not have it",
        "`docker login`, name a mirror in BAPSANG_MIRROR",
    ),
    Kind(r"manifest unknown|not found|\b404\b", "does not have it", "Name another mirror in BAPSANG_MIRROR"),
    Kind(r"timeout|deadline exceeded|no answer within", "did not answer in time", "Try again later"),
    Kind("", "failed", "See what it said"),
)


class PullFailed(Failure):
    """An image could not be pulled. `answers` tells whether a registry is there at all."""

    def __init__(self, source: str, said: str) -> None:
        kind = next(kind for kind in KINDS if re.search(kind.words, said, re.IGNORECASE))
        super().__init__(
            f"{source} cannot be pulled: {host(source)} {kind.problem}.\n  {said}", f"{kind.advice}, {BUILD_INSTEAD}."
        )
        self.answers = kind.answers
        self.kind = kind


def pull(engine: Engine, name: str, settings: Settings, *, digest: str = "") -> None:
    """Make image `name` present in the engine, from the mirror where there is one. Raises PullFailed."""
    if engine.tries("image", "inspect", name):
        return
    source = mirrored(name, settings.mirror) + (f"@{digest}" if digest else "")
    with step(f"{source} pulled"):
        command = ["docker", "pull", "--quiet", source]
        answer = shell.attempt(command, env=engine.environment(), timeout=PULL_SECONDS)
        if answer.returncode != 0:
            raise PullFailed(source, answer.stderr.decode(errors="replace").strip())
        if source != name:
            engine.docker("tag", source, name)


def mirrored(name: str, mirror: str) -> str:
    """Return where the mirror has image `name`: under its whole name, with the registry that it comes from in front."""
    if not mirror:
        return name
    repository = name.rpartition("/")[0]
    if host(name) == "docker.io" and not repository.startswith("docker.io"):
        name = f"docker.io/{name}" if repository else f"docker.io/library/{name}"
    return f"{mirror}/{name}"


def host(name: str) -> str:
    """Return the registry that an image's name means."""
    first = name.partition("/")[0]
    return first if "/" in name and ("." in first or ":" in first or first == "localhost") else "docker.io"
