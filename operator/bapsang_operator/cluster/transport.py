"""One request to the apiserver, over plain HTTP: bounded in time, counted, and a write behind the fence, so that a process
that lost its lease writes nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from yarl import URL

from bapsang_operator.cluster.errors import KubeError, refused
from bapsang_operator.cluster.fence import Fence, FencedError
from bapsang_operator.kinds import Kind
from bapsang_operator.manifest import Manifest
from bapsang_operator.metrics import Metrics

_READ_SECONDS = 15.0


class Transport:
    """Sends requests. A write is given up, here and by the apiserver, after `write_seconds`: what left just before the
    lease was lost has ended before another process may take over."""

    def __init__(
        self, server: str, session: aiohttp.ClientSession, metrics: Metrics, fence: Fence, write_seconds: float
    ) -> None:
        self._server = server
        self._session = session
        self._metrics = metrics
        self._fence = fence
        self._write_seconds = write_seconds

    async def lines(self, kind: Kind, path: str, params: dict[str, str], silence: float) -> AsyncIterator[Manifest]:
        """Yield the JSON objects of an answer that goes on, one a line, until it ends. Raises KubeError, also after
        `silence` seconds without a byte."""
        code = "none"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0, sock_read=silence)
        try:
            async with self._session.request(
                "GET", URL(self._server + path, encoded=True), params=params, timeout=timeout
            ) as response:
                code = str(response.status)
                if response.status >= 400:
                    text = (await response.read()).decode(errors="replace")
                    raise refused(response.status, "", _decode(text) or {}, text)
                rest = b""
                async for chunk in response.content.iter_any():
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        found = _decode(line.decode(errors="replace"))
                        if found is None:
                            raise KubeError(0, "BadAnswer", f"GET {path}: a line of the watch is no JSON object")
                        yield found
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise KubeError(0, "NoAnswer", f"GET {path}: the watch was lost ({error!r})") from error
        finally:
            self._metrics.requests.labels("watch", kind.name, code).inc()

    async def __call__(
        self,
        verb: str,
        method: str,
        kind: Kind,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Manifest | None = None,
        content: str = "application/json",
        accept: str = "application/json",
        fenced: bool = True,
        dry_run: bool = False,
    ) -> Manifest:
        """Return the answer, which is a JSON object. Raises KubeError. Only the lease itself is not `fenced`."""
        # A dry run passes every webhook and changes nothing; it is fenced all the same, being of use to the leader only.
        writes = method != "GET"
        params = {**(params or {}), **({"dryRun": "All"} if dry_run else {})}
        seconds = self._write_seconds if writes else _READ_SECONDS
        code = "none"
        try:
            with self._fence.write() if writes and fenced else contextlib.nullcontext():
                if writes and not dry_run:
                    self._metrics.writes.labels(verb, kind.name).inc()
                async with self._session.request(
                    method,
                    # As it is: by default `..` would take off the segment before it.
                    URL(self._server + path, encoded=True),
                    params={**params, "timeout": f"{seconds:g}s"},
                    data=json.dumps(body) if body is not None else None,
                    headers={"Content-Type": content, "Accept": accept},
                    timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(5.0, seconds)),
                    trace_request_ctx=self._fence if writes and fenced else None,
                ) as response:
                    code = str(response.status)
                    # Never strict: an answer that is cut within a character must not raise something else.
                    text = (await response.read()).decode(errors="replace")
        except FencedError as error:
            code = "fenced"
            raise KubeError(0, "Fenced", f"{method} {path}: {error}") from error
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
            # Connected and no answer in time: that may be one slow webhook, and other objects fare better.
            is_slow = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError)
            reason = "Timeout" if is_slow else "NoAnswer"
            raise KubeError(0, reason, f"{method} {path}: no answer from the apiserver ({error!r})") from error
        finally:
            self._metrics.requests.labels(verb, kind.name, code).inc()
        answer = _decode(text)
        if response.status >= 400:
            raise refused(response.status, response.headers.get("Retry-After", ""), answer or {}, text)
        if answer is None:
            raise KubeError(0, "BadAnswer", f"{method} {path}: the answer is cut off or no JSON object")
        return answer


def _decode(text: str) -> Manifest | None:
    try:
        found: Any = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
