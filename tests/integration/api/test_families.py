"""IPv4 and IPv6: `--host 0.0.0.0`, as operators give it, is reached by both, and a sender is the same by either."""

import socket
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bapsang_api import server
from bapsang_api.http.request import Request

from .process import Service, client, serving
from .world import API, PASSWORD


def _has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


needs_ipv6 = pytest.mark.skipif(not (socket.has_ipv6 and _has_ipv6()), reason="this machine has no address ::1")


def _over_ipv6(url: str) -> str:
    return url.replace("127.0.0.1", "[::1]")


def _logged(folder: Path) -> list[str]:
    engine = create_engine(f"sqlite:///{folder}/bapsang.sqlite3")
    with engine.connect() as connection:
        found = [
            str(address) for address in connection.execute(text("SELECT address FROM access_log ORDER BY id")).scalars()
        ]
    engine.dispose()
    return found


def _remaining(url: str, headers: dict[str, str]) -> int:
    with client(url) as http:
        return int(http.get(f"{API}/posts", headers=headers).headers["RateLimit-Remaining"])


@needs_ipv6
def test_every_address_is_served_in_both_families(tmp_path: Path) -> None:
    given = {"BAPSANG_TRUSTED_HOPS": "1", "BAPSANG_RATE_LIMITS": "ip=100/86400"}  # nothing comes back during a test
    with serving(tmp_path, "--host", "0.0.0.0", **given) as service:  # noqa: S104 - as pods do
        for admin in (service.admin, _over_ipv6(service.admin)):
            with client(admin) as http:
                assert http.get("/readyz").text == "OK"
        body = {"email": "a@example.com", "password": PASSWORD, "nickname": "a"}
        forwarded = ({}, {}, {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "::ffff:198.51.100.1"})
        urls = (service.url, _over_ipv6(service.url), service.url, _over_ipv6(service.url))
        for number, (url, headers) in enumerate(zip(urls, forwarded, strict=True)):
            with client(f"{url}{API}", headers=headers) as http:
                path = "/auth/tokens" if number else "/auth/users"
                assert http.post(path, json=body).status_code in {200, 201}
        assert _logged(tmp_path) == ["127.0.0.1", "::1", "198.51.100.1", "198.51.100.1"]
        _one_budget_for_both_forms(service)


def _one_budget_for_both_forms(service: Service) -> None:
    """A sender that comes by itself, or through a proxy that names it in either form, has one limit."""
    left = [_remaining(service.url, headers) for headers in ({}, {"X-Forwarded-For": "::ffff:127.0.0.1"}, {})]
    assert left == [left[0], left[0] - 1, left[0] - 2]


@needs_ipv6
def test_one_address_stays_one(tmp_path: Path) -> None:
    with serving(tmp_path, "--host", "127.0.0.1") as service, client(service.url) as http:
        assert http.get(f"{API}/health").status_code == 200
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("::1", int(service.url.rpartition(":")[2])), 10)


@pytest.mark.parametrize("dual", [False, pytest.param(True, marks=needs_ipv6)])
def test_kernel_without_ipv6_serves_ipv4(dual: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: dual)
    with server.bound("0.0.0.0", 0) as listening:  # noqa: S104
        listening.listen()
        with socket.create_connection(("127.0.0.1", listening.getsockname()[1]), 10):
            assert listening.family == (socket.AF_INET6 if dual else socket.AF_INET)


@pytest.mark.parametrize(
    ("given", "address"),
    [("::ffff:10.0.0.1", "10.0.0.1"), ("::ffff:a00:1", "::ffff:a00:1"), ("2001:db8::1", "2001:db8::1"), ("::1", "::1")],
)
@pytest.mark.parametrize("hops", [0, 1])
def test_ipv4_address_in_ipv6_form_is_the_ipv4_address(given: str, address: str, hops: int) -> None:
    headers = [(b"x-forwarded-for", given.encode())] if hops else []
    client = ("192.0.2.1", 1) if hops else (given, 1)
    scope = {"method": "GET", "path": "/", "query_string": b"", "headers": headers, "client": client}
    assert Request(scope, hops).address == address
