"""Redis: how it is opened, which of its errors mean an outage, and where Lua scripts come from."""

import asyncio
import ssl
from importlib.resources import files
from typing import Any, ClassVar, Final

import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import DefaultParser, SSLConnection, parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript

from bapsang_api.kit import tls

EMBEDDED: Final = "embedded://"
#: The setting that says what a Redis is verified by.
REDIS_CA: Final = "BAPSANG_REDIS_TLS_CA"
_PLAIN_SECONDS: Final = 2.0


class RefusedError(redis.exceptions.ResponseError):
    """Redis answers, but accepts no commands for now; the text begins with its code."""

    def __init__(self, text: str, status_code: str) -> None:
        super().__init__(f"{status_code} {text}", status_code=status_code)


# Down, slow, loading, failed over, full, or refusing: passes without a change of the program. Other ResponseErrors are
# bugs. NOAUTH, WRONGPASS and LOADING are ConnectionErrors; MASTERDOWN is a ClusterDownError.
OUTAGE: Final = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.TryAgainError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.NoPermissionError,
    RefusedError,
)
# Codes that the client's library does not know and would raise as plain ResponseErrors, like bugs: a long script runs,
# the disk fails, too few replicas follow, a server without a password is asked from afar, a command waited while the server
# became a replica.
_REFUSALS: Final = ("BUSY", "MISCONF", "NOREPLICAS", "DENIED", "UNBLOCKED")


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]
    """The client's parser, which also knows the codes of refusals."""

    EXCEPTION_CLASSES: ClassVar[dict[str, Any]] = {
        **DefaultParser.EXCEPTION_CLASSES,
        **dict.fromkeys(_REFUSALS, RefusedError),
    }


class _VerifiedConnection(SSLConnection):
    """A connection whose server is verified before it is sent a command, whatever the URL's scheme."""

    def __init__(self, *, tls_context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls_context

    async def _connect(self) -> None:
        try:
            await super()._connect()  # type: ignore[no-untyped-call]
        except OSError as error:
            refusal = tls.refused(error, REDIS_CA)
            if refusal is None:
                raise
            raise refusal from error  # the client makes it the cause of a ConnectionError


class EmbeddedRedisMissingError(RuntimeError):
    """The library that stands in for Redis in development is not installed."""


def open_redis(url: str, *, seconds: float = 1.0, connections: int = 16) -> Redis:
    """Return a client for `url`; each command has `seconds` to be answered, and three times that to get a connection.

    Connects on first use. Few connections: one event loop keeps no more of them busy, and a burst would spend its time
    on handshakes. Getting one has longer, because in a burst the waiting is for this process, not for Redis.

    Nothing is retried: a toggle whose answer was lost may have happened, and doing it again would undo it.

    With `tls.OPTION` in the URL the server is verified, before it is sent a password.
    """
    if url == EMBEDDED:
        return _open_embedded()
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": 3 * seconds,
        "socket_timeout": seconds,
        "socket_connect_timeout": 3 * seconds,
        "decode_responses": True,
        "parser_class": _Parser,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **parse_url(url),
    }
    if (ca := options.pop(tls.OPTION, None)) is not None:
        options |= {"connection_class": _VerifiedConnection, "tls_context": tls.verifying(ca)}
    return Redis.from_pool(BlockingConnectionPool(**options))


async def speaks_plainly(url: str) -> bool:
    """Whether the server of `url` answers without TLS. It is sent no password.

    The only way to know of a Redis that offers no TLS: it takes the beginning of a handshake for a line without an end, and
    waits for the rest of it.
    """
    address = parse_url(url)
    try:
        async with asyncio.timeout(_PLAIN_SECONDS):
            reader, writer = await asyncio.open_connection(address.get("host"), address.get("port", 6379))
            try:
                writer.write(b"PING\r\n")
                return await reader.read(1) in {b"+", b"-"}
            finally:
                writer.close()
    except OSError:
        return False


def _open_embedded() -> Redis:
    try:
        from fakeredis import FakeAsyncRedis, FakeServer
    except ModuleNotFoundError as error:
        raise EmbeddedRedisMissingError("BAPSANG_REDIS_URL=embedded:// needs the package fakeredis[lua]") from error
    client: Redis = FakeAsyncRedis(server=FakeServer(), decode_responses=True)
    return client


def load_script(client: Redis, package: str, name: str) -> AsyncScript:
    """Return the script `scripts/<name>.lua` of `package`; it is sent to Redis once and then called by its hash."""
    return client.register_script(files(package).joinpath("scripts", f"{name}.lua").read_text("utf-8"))
