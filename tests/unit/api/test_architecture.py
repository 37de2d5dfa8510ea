"""Rules of the code that a reader should be able to rely on, held by tests instead of memory."""

import ast
import inspect
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from tests.integration.api.world import Backend, open_world

import bapsang_api
from bapsang_api.app import ROUTERS, create_app
from bapsang_api.http.idempotency import Idempotency
from bapsang_api.http.ratelimit import RateLimiter
from bapsang_api.http.shedding import Shedder
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.db.database import Database
from bapsang_api.kit.metrics import Metrics
from bapsang_api.kit.problem import Unavailable
from bapsang_api.kit.redis.client import EMBEDDED, open_redis
from bapsang_api.kit.security.tokens import TokenVerifier
from bapsang_api.lifecycle import Lifecycle

ROOT = Path(bapsang_api.__file__).parent
PROJECT = ROOT.parent.parent
MODULES = sorted(path for path in ROOT.rglob("*.py"))
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for child in dependant.dependencies:
        yield from dependants(child)


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{min(route.methods)} {route.path}")
def test_endpoints_and_their_dependencies_are_async(route: APIRoute) -> None:
    # A plain function costs a thread hop a request, in a pool that it shares with everything else of its kind.
    for dependant in dependants(route.dependant):
        call: Any = dependant.call
        assert inspect.iscoroutinefunction(call), call


def test_the_framework_puts_no_layer_between_the_gateway_and_routes_but_its_errors() -> None:
    # Each of its own costs a tenth of a cached read, one of the convenience kind more than a whole.
    clock = SystemClock()
    redis, metrics = open_redis(EMBEDDED), Metrics()
    verifier = TokenVerifier([], issuer="", audience="", clock=clock, revoked=frozenset())
    app = create_app(
        (),
        metrics=metrics,
        cors_origins=(),
        lifecycle=Lifecycle(),
        limiter=RateLimiter(redis, clock, {}),
        shedder=Shedder(4, metrics),
        idempotency=Idempotency(redis, verifier),
        room_to_hash=lambda: None,
        hops=1,
    )
    framework: Any = app.framework
    assert framework.user_middleware == []
    assert type(framework.build_middleware_stack()) is ExceptionMiddleware


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_sql_is_written_in_stores_only(path: Path) -> None:
    statements = {f"sqlalchemy.{verb}" for verb in ("select", "insert", "update", "delete", "text")}
    inside = (
        path.name in {"store.py", "queries.py"}
        or path.parts[-2:-1] in {("versions",), ("db",)}
        or path.name == "migrate.py"
    )
    assert inside or not imported(path) & statements


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_are_short_and_say_what_they_are_for(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") < 300
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("domain", ["auth", "users", "moderation", "reports"])
def test_what_decides_something_never_reads_from_a_replica(domain: str) -> None:
    # A replica lags: it would let a revoked session in and a taken name through.
    lagging = {name for name in dir(Database) if name.endswith("_lagging")}
    assert {name.removesuffix("_lagging") for name in lagging} == {"read", "find"}
    for path in (ROOT / domain).rglob("*.py"):
        used = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        assert not used & lagging, path


async def test_likes_are_loaded_from_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a replica a like that has just been written back would be lost."""

    async def lag(_work: object) -> None:
        raise Unavailable

    environment = {"BAPSANG_DATABASE_URL": f"sqlite:///{tmp_path}/bapsang.sqlite3", "BAPSANG_RATE_LIMITS": "off"}
    async with open_world(Backend("sqlite+embedded", environment)) as world:
        alice, bob = await world.person(), await world.person()
        post_id = await alice.write_post()
        await alice.toggle(post_id)
        await world.write_back()
        await world.runtime.redis.flushdb()
        monkeypatch.setattr(world.runtime.database, "read_lagging", lag)
        assert (await bob.toggle(post_id)).status_code == 204
        assert await world.shown_likes(post_id) == 2


def test_audit_log_only_grows() -> None:
    mentioning = {path for path in MODULES if "AuditEntry" in path.read_text() and path.parts[-2] != "versions"}
    # An entry goes when the time is over for which it is kept, and is shown to the person it is about.
    assert {path.parent.name for path in mentioning} == {"moderation", "privacy", ROOT.name}
    statements = {f"sqlalchemy.{verb}" for verb in ("update", "delete", "text")}
    assert not imported(ROOT / "moderation" / "store.py") & statements


def test_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    assert bapsang_api.__version__ == project["project"]["version"]
