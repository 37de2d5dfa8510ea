"""The API and what it is compared with, as processes: one a core, each on a port of its own."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bapsang_api.http.ratelimit import Limit

from .interpreter import Interpreter
from .servers import free_port, wait_for

# Signing a URL needs a key; nothing is ever sent to S3.
AWS = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
ISSUER = "http://bench.localhost"
# Limits so high that nobody meets them: counting requests by sender costs what it costs in a pod. Those of wrong passwords and of
# letters stay: nobody here has one, and an older version refuses a limit that it does not know.
_UNMET = {Limit.LOGIN_ACCOUNT, Limit.LETTER_EMAIL, Limit.LETTER_IP, Limit.LINK_IP}
RATE_LIMITS = ",".join(f"{limit}=900000000/60" for limit in Limit if limit not in _UNMET)


def api_environment(database_url: str, redis_url: str, key_file: Path) -> dict[str, str]:
    """Return what the operator and the image set for a pod, but for ports and limits."""
    return {
        "MALLOC_ARENA_MAX": "1",  # as the image sets it
        "BAPSANG_DATABASE_URL": database_url,
        "BAPSANG_REDIS_URL": redis_url,
        "BAPSANG_LOG_LEVEL": "info",
        "BAPSANG_SIGNING_KEY_FILE": str(key_file),
        "BAPSANG_ISSUER": ISSUER,
        "BAPSANG_AUDIENCE": "bapsang",
        "BAPSANG_S3_BUCKET": "bapsang-media",
        "BAPSANG_RATE_LIMITS": RATE_LIMITS,
        "OPTIONAL_BAPSANG_HOLD_POSTS": "off",  # a version before may not know it
        **AWS,
    }


@dataclass(frozen=True)
class Pair:
    """Processes that serve the same."""

    pids: list[int]
    targets: list[str]  # host:port
    admin: list[str]  # base URLs of the admin listeners, none where there are none

    @property
    def base(self) -> str:
        return f"http://{self.targets[0]}"


@contextlib.contextmanager
def api(python: Interpreter, environment: Mapping[str, str], logs: Path, count: int) -> Iterator[Pair]:
    """Serve the API by `count` processes."""
    ports = [(free_port(), free_port()) for _ in range(count)]
    commands = [
        (
            ["-m", "bapsang_api", "serve", "--host", "127.0.0.1", "--port", str(port)],
            {"BAPSANG_ADMIN_PORT": str(admin)},
        )
        for port, admin in ports
    ]
    with contextlib.ExitStack() as stack:
        pids = [
            stack.enter_context(python.running(command, {**environment, **more}, logs / f"api-{at}.log"))
            for at, (command, more) in enumerate(commands)
        ]
        pair = Pair(
            pids, [f"127.0.0.1:{port}" for port, _ in ports], [f"http://127.0.0.1:{admin}" for _, admin in ports]
        )
        for url in pair.admin:
            wait_for(lambda url=url: fetch(f"{url}/readyz"), (OSError,))  # type: ignore[misc]
        yield pair


@contextlib.contextmanager
def uvicorn(
    python: Interpreter, app: str, environment: Mapping[str, str], logs: Path, count: int, *options: str, ready: str
) -> Iterator[Pair]:
    """Serve another ASGI application by `count` processes of uvicorn."""
    ports = [free_port() for _ in range(count)]
    with contextlib.ExitStack() as stack:
        pids = [
            stack.enter_context(
                python.running(
                    ["-m", "uvicorn", app, "--port", str(port), "--no-access-log", *options],
                    environment,
                    logs / f"{app.partition(':')[0].rpartition('.')[2]}-{at}.log",
                )
            )
            for at, port in enumerate(ports)
        ]
        pair = Pair(pids, [f"127.0.0.1:{port}" for port in ports], [])
        for target in pair.targets:
            wait_for(lambda target=target: fetch(f"http://{target}{ready}"), (OSError,))  # type: ignore[misc]
        yield pair


def fetch(url: str, headers: Mapping[str, str] | None = None) -> bytes:
    """Return the body of a GET. Raises OSError."""
    request = urllib.request.Request(url, headers=dict(headers or {}))  # noqa: S310 - a URL of ours
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


def in_flight(admin: str) -> float:
    """Return how many requests a process of the API works on."""
    lines = fetch(f"{admin}/metrics").decode().splitlines()
    return sum(float(line.split()[1]) for line in lines if line.startswith("bapsang_http_in_flight "))
