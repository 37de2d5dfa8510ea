"""A Redis that can be stopped and started, and that refuses in each way that Redis has.

Each refusal is the server's own, brought about by its settings, its data or its end, and taken back afterwards.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from tests import waiting

from bapsang_local.engine import Engine

GONE = "GONE"
CODES = (GONE, "LOADING", "NOAUTH", "NOPERM", "OOM", "READONLY", "MASTERDOWN", "BUSY", "MISCONF", "NOREPLICAS")
_IMAGE = "redis:8.0"
_OPTIONS = ("--dir", "/tmp", "--save", "", "--appendonly", "no", "--protected-mode", "no")
_PROTECTED = ("--enable-protected-configs", "yes")  # `dir` is moved to where nothing can be saved
_NOBODY = ("127.0.0.1", 1)  # a master that does not answer
_FILL = "for number = 1, ARGV[1] do redis.call('SET', 'filler:' .. number, '') end"
_EMPTY = "for number = 1, ARGV[1] do redis.call('UNLINK', 'filler:' .. number) end"
_FILLERS = 50_000  # at half a millisecond each they take 25 s to load


class Server:
    """A Redis within a container that outlives it, so that its port stays."""

    def __init__(self, engine: Engine, name: str, port: int) -> None:
        self._engine, self._name, self._port = engine, name, port
        self.url = f"redis://127.0.0.1:{port}/0"
        # Its one connection stays signed in when others no longer can.
        self.client = redis.Redis(port=port, decode_responses=True, retry=Retry(NoBackoff(), 0))

    def start(self, *options: str) -> None:
        """Start the server with what it had saved; return when it answers, if only that it is loading."""
        self._engine.docker("exec", "--detach", self._name, "redis-server", *_OPTIONS, *_PROTECTED, *options)
        waiting.eventually(self._answers, errors=(redis.ConnectionError,))

    def stop(self) -> None:
        self.client.shutdown(save=True)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.BusyLoadingError:
            return True

    @contextlib.contextmanager
    def refusing(self, code: str) -> Iterator[None]:
        """Have the server refuse what this code is for. Everything that is set is put back."""
        begin: Callable[[], contextlib.AbstractContextManager[None]] = getattr(self, f"_{code.lower()}")
        with begin():
            yield

    @contextlib.contextmanager
    def settings(self, **values: str) -> Iterator[None]:
        names = {name: name.replace("_", "-") for name in values}
        before = {setting: self.client.config_get(setting)[setting] for setting in names.values()}
        try:
            for name, value in values.items():
                self.client.config_set(names[name], value)
            yield
        finally:
            for setting, value in before.items():
                self.client.config_set(setting, value)

    @contextlib.contextmanager
    def _gone(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def _loading(self) -> Iterator[None]:
        self.client.eval(_FILL, 0, _FILLERS)
        self.stop()
        self.start("--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024")
        try:
            yield
            assert self.client.info("persistence")["loading"] == 1
        finally:
            self.client.config_set("key-load-delay", "0")
            waiting.eventually(self.client.ping, errors=(redis.BusyLoadingError,))
            self.client.eval(_EMPTY, 0, _FILLERS)

    @contextlib.contextmanager
    def _noauth(self) -> Iterator[None]:
        with self.settings(requirepass="secret"):
            for kind in ("normal", "pubsub"):
                self.client.client_kill_filter(_type=kind, skipme=True)
            yield

    @contextlib.contextmanager
    def _noperm(self) -> Iterator[None]:
        self.client.execute_command("ACL", "SETUSER", "default", "-@all", "+acl")
        try:
            yield
        finally:
            self.client.execute_command("ACL", "SETUSER", "default", "+@all")

    def _oom(self) -> contextlib.AbstractContextManager[None]:
        return self.settings(maxmemory="1")

    def _noreplicas(self) -> contextlib.AbstractContextManager[None]:
        return self.settings(min_replicas_to_write="1")

    @contextlib.contextmanager
    def _misconf(self) -> Iterator[None]:
        with self.settings(dir="/proc", save="3600 1"):
            self.client.bgsave()
            waiting.eventually(lambda: self.client.info("persistence")["rdb_last_bgsave_status"] == "err")
            yield

    @contextlib.contextmanager
    def _readonly(self) -> Iterator[None]:
        self.client.replicaof(*_NOBODY)
        try:
            yield
        finally:
            self.client.replicaof("NO", "ONE")

    @contextlib.contextmanager
    def _masterdown(self) -> Iterator[None]:
        with self.settings(replica_serve_stale_data="no"), self._readonly():
            yield

    @contextlib.contextmanager
    def _busy(self) -> Iterator[None]:
        def run_for_ever() -> None:
            with (
                redis.Redis.from_url(self.url, socket_timeout=None) as other,
                contextlib.suppress(redis.ResponseError),
            ):
                other.eval("while true do end", 0)

        def is_busy() -> bool:
            try:
                return not self.client.ping()
            except redis.ResponseError as error:
                return str(error).startswith("BUSY")

        script = threading.Thread(target=run_for_ever)
        with self.settings(busy_reply_threshold="1"):
            script.start()
            try:
                waiting.eventually(is_busy)
                yield
            finally:
                self.client.script_kill()
                script.join()


@contextlib.contextmanager
def running(engine: Engine) -> Iterator[Server]:
    """Run a server in a container of its own."""
    labels = ("--label", "dev.bapsang.test=1", "--publish", "127.0.0.1::6379")
    name = engine.docker("run", "--detach", *labels, "--entrypoint", "sleep", _IMAGE, "infinity").strip()
    try:
        published = engine.docker("port", name, "6379/tcp").split()[0]
        server = Server(engine, name, int(published.rpartition(":")[2]))
        server.start()
        yield server
        server.client.close()
    finally:
        engine.docker("rm", "--force", "--volumes", name)
