"""What a process keeps in memory between requests, and what bounds each of it, in bytes: clients write many of the keys."""

import ast
import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

import bapsang_api
from bapsang_api.http import paging, ratelimit
from bapsang_api.http.paging import PageQuery
from bapsang_api.http.ratelimit import DEFAULTS, Limit, RateLimiter
from bapsang_api.kit.clock import SystemClock
from bapsang_api.kit.problem import InvalidInput

API = Path(bapsang_api.__file__).parent
# The functions with a parameter whose results are remembered, and the mappings and queues that objects keep; and why each has an
# end. A new one fails until it stands here.
FUNCTIONS = {
    "http/paging.py _remembered": "1,024 queries of at most 256 bytes",
    "kit/metrics.py _series": "methods, routes and classes of status of our own",
    "http/content.py _coding_of": "256 headers of at most 128 bytes",
    "http/ratelimit.py cost": "a number of each rule",
    "http/ratelimit.py most": "a number of each rule",
    "http/ratelimit.py _known_key": "2,048 addresses or ids of at most 64 characters",
    "http/ratelimit.py _subject_of": "2,048 addresses of at most 64 characters",
    "likes/store.py of": "2,048 ids",
    "mail/rendering.py _page": "files of our own",
    "uploads/photo.py _grey": "64 shapes",
    "kit/tls.py verifying": "what settings name, at most four",
}
ATTRIBUTES = {
    "auth/revocation.py _until": "sessions that existed, for half an hour: forgetting one would let its tokens in",
    "auth/revocation.py _announced": "sessions that existed, for half an hour: forgetting one would let its tokens in",
    "auth/revocation.py _unannounced": "sessions that existed and were just revoked here, until Redis answers, for half an hour",
    "kit/concurrency.py _waiting": "at most `queue` ids that requests wait for",
    "http/bodies.py _held": "senders of requests that are not answered yet",
    "inbox/streams.py _of": "users with open streams, MOST at a time",
    "kit/db/database.py _local_locks": "names of our own",
    "http/content.py _encoded": "three forms of a body, each below half of it: counted with the body",
    "importing/moved.py _ids": "10,000 ids of at most 64 characters",
    "importing/queries.py _tables": "the six tables of an older server",
    "importing/taking.py rows": "a batch of an import",
    "http/ratelimit.py _accounts": "100,000 digests, a third of a KiB each",
    "kit/concurrency.py _running": "ids that requests wait for",
    "kit/security/tokens.py _cache": "50,000 digests of tokens that are ours",
    "likes/service.py _wanted": "_MOST_WANTED ids",
    "posts/lists.py _bodies": "`entries` and `bytes` of Bounds",
    "readmodel/cache.py _by_name": "the names of `_entries`",
    "readmodel/cache.py _entries": "`entries` and `bytes` of Bounds",
    "readmodel/feed.py _recent": "ids of what was changed, for five seconds",
    "uploads/bearer.py _keys": "what the issuer publishes",
}
_MAKES_A_MAPPING = {"dict", "defaultdict", "OrderedDict", "Counter", "deque"}


@functools.cache
def _modules() -> list[tuple[str, ast.Module]]:
    return [(str(path.relative_to(API)), ast.parse(path.read_text())) for path in sorted(API.rglob("*.py"))]


def _remembering() -> Iterator[str]:
    for name, module in _modules():
        for node in ast.walk(module):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.args.args:
                continue
            if any("cache" in ast.unparse(decorator) for decorator in node.decorator_list):
                yield f"{name} {node.name}"


def _kept() -> Iterator[str]:
    for name, module in _modules():
        for node in ast.walk(module):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if isinstance(node, ast.Assign | ast.AnnAssign) and _is_empty_mapping(node.value):
                yield from (f"{name} {target.attr}" for target in targets if isinstance(target, ast.Attribute))


def _is_empty_mapping(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in _MAKES_A_MAPPING and not value.args
    return isinstance(value, ast.Dict) and not value.keys


def test_whatever_a_process_remembers_says_what_bounds_it() -> None:
    assert set(_remembering()) == FUNCTIONS.keys()
    assert set(_kept()) == ATTRIBUTES.keys()


@pytest.mark.parametrize(
    "query", [b"size=20&" + b"a" * 250 + b"=1", b"size=" + b"9" * 4301, b"cursorId=" + b"0" * 9_000]
)
def test_a_long_query_is_not_remembered(query: bytes) -> None:
    before = paging._remembered.cache_info().currsize
    with contextlib.suppress(InvalidInput):
        paging.query_of(PageQuery, query)
    assert paging._remembered.cache_info().currsize == before


async def test_what_is_limited_is_remembered_by_short_keys_only() -> None:
    limiter = RateLimiter(Redis(), SystemClock(), DEFAULTS)
    for number in range(3):
        known = ratelimit._known_key.cache_info().currsize
        limiter.admit({}, Limit.WRITE, f"{number}" + "a" * 1_000_000)
        assert ratelimit._known_key.cache_info().currsize == known
    assert {len(key) for key in limiter._accounts} == {len("rate:write:") + 24}
    address = ratelimit.subject_of("x" * 1_000_000)
    assert address == ratelimit.subject_of("x" * 2_000_000)
    assert len(address) == 64
