"""Credentials by an exec plugin of a kubeconfig (`client.authentication.k8s.io`), such as `aws eks get-token`.

A plugin is run when its last answer has expired or was refused, by one request for all; it is never asked to interact.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp

_GROUP: Final = "client.authentication.k8s.io"
_VERSIONS: Final = frozenset({f"{_GROUP}/v1", f"{_GROUP}/v1beta1"})
#: Where a cluster of a kubeconfig keeps what its plugin needs to know.
_EXTENSION: Final = f"{_GROUP}/exec"
_CLUSTER_FIELDS: Final = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data")
_SECONDS: Final = 60.0
_END_SECONDS: Final = 1.0
_MOST_BYTES: Final = 1 << 20


class PluginError(aiohttp.ClientConnectionError):
    """The plugin gives no credentials; the message names it and what to do. To those who send requests it is an
    apiserver that cannot be reached: they try again."""


@dataclass(frozen=True)
class Answer:
    """What a plugin said: a token, a client certificate with its key, or both."""

    token: str | None
    pair: tuple[str, str] | None
    expires: datetime | None

    def is_over(self) -> bool:
        return self.expires is not None and datetime.now(UTC) >= self.expires


class Plugin:
    """One user's plugin and its last answer. Certificates are loaded into `tls`, for connections from then on."""

    def __init__(
        self, config: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path, tls: ssl.SSLContext | bool
    ) -> None:
        """Raises PluginError for a plugin that can never be run here."""
        self._name = str(config.get("command") or "")
        self._version = str(config.get("apiVersion"))
        self._hint = str(config.get("installHint") or "install it, or correct users[].user.exec.command")
        self._tls = tls
        if not self._name or self._version not in _VERSIONS:
            raise self._error(f"needs a command and an apiVersion of {', '.join(sorted(_VERSIONS))}")
        if config.get("interactiveMode") == "Always":
            raise self._error("wants to talk to a person (interactiveMode: Always); log in first, or use another user")
        # As kubectl: a path is relative to the kubeconfig, a bare name is looked for on the PATH.
        path = str(folder / self._name) if "/" in self._name else self._name
        self._command = [path, *(str(argument) for argument in config.get("args") or ())]
        told = {name: cluster[name] for name in _CLUSTER_FIELDS if name in cluster}
        for extension in cluster.get("extensions") or ():
            if extension["name"] == _EXTENSION:
                told["config"] = extension["extension"]
        spec = {"interactive": False, **({"cluster": told} if config.get("provideClusterInfo") else {})}
        info = {"apiVersion": self._version, "kind": "ExecCredential", "spec": spec}
        given = {str(one["name"]): str(one["value"]) for one in config.get("env") or ()}
        self._environment = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        self._answer: Answer | None = None
        self._running: asyncio.Task[Answer] | None = None

    @property
    def gives_certificates(self) -> bool:
        """Whether the last answer had a certificate."""
        return self._answer is not None and self._answer.pair is not None

    async def answer(self) -> Answer:
        """Return the credentials to use now. Raises PluginError."""
        answer = self._answer
        if answer is None or answer.is_over():
            if self._running is None:
                self._running = asyncio.create_task(self._run(), name=f"plugin {self._name}")
                self._running.add_done_callback(self._ended)
            # Shielded: the request that waits may have less time than the plugin needs; the next one finds the answer.
            answer = await asyncio.shield(self._running)
        return answer

    def refused(self, answer: Answer) -> None:
        """The apiserver did not accept an answer: another one is asked for, unless that was done meanwhile."""
        if self._answer is answer:
            self._answer = None

    def _ended(self, running: asyncio.Task[Answer]) -> None:
        self._running = None
        if not running.cancelled() and running.exception() is None:
            self._answer = running.result()

    async def _run(self) -> Answer:
        program = shutil.which(self._command[0], path=self._environment.get("PATH"))
        if program is None:
            raise self._error(f"is not there or cannot be run: {self._hint}")
        try:
            # Its standard error is ours: a plugin tells people there what to do.
            process = await asyncio.create_subprocess_exec(
                program,
                *self._command[1:],
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                process_group=0,
            )
        except OSError as error:
            raise self._error(f"cannot be started: {error.strerror}") from error
        try:
            async with asyncio.timeout(_SECONDS):
                said = await self._output(process)
                code = await process.wait()
        except TimeoutError as error:
            raise self._error(f"has not ended within {_SECONDS:g} s") from error
        finally:
            await _end(process)
        if code != 0:
            raise self._error(f"ended with code {code}")
        answer = self._understood(said)
        if answer.pair is not None and isinstance(self._tls, ssl.SSLContext):
            try:
                load_pair(self._tls, *(part.encode() for part in answer.pair))
            except ssl.SSLError as error:
                raise self._error("answered with a certificate and a key that do not fit or cannot be read") from error
        return answer

    async def _output(self, process: asyncio.subprocess.Process) -> bytes:
        said = b""
        while process.stdout is not None and (part := await process.stdout.read(1 << 16)):
            said += part
            if len(said) > _MOST_BYTES:
                raise self._error(f"answered more than {_MOST_BYTES} bytes")
        return said

    def _understood(self, said: bytes) -> Answer:
        """Return the answer in what a plugin printed; none of it gets into an error, since it holds secrets."""
        try:
            found = json.loads(said)
            status = found["status"]
            is_ours = (found["apiVersion"], found["kind"]) == (self._version, "ExecCredential")
            token, until = status.get("token"), status.get("expirationTimestamp")
            certificate, key = (status.get(name) for name in ("clientCertificateData", "clientKeyData"))
            expires = datetime.fromisoformat(until) if until else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error("did not answer with an ExecCredential") from error.with_traceback(None)
        if not is_ours:
            raise self._error(f"did not answer with an ExecCredential of {self._version}")
        if not (token or certificate) or bool(certificate) != bool(key):
            raise self._error("answered with neither a token nor a client certificate with its key")
        if expires is not None and expires.tzinfo is None:
            expires = expires.replace(tzinfo=UTC)
        return Answer(token, (certificate, key) if certificate else None, expires)

    def _error(self, problem: str) -> PluginError:
        return PluginError(f'credential plugin "{self._name}" {problem}')


def load_pair(tls: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Let connections show a client certificate. `ssl` reads it from files only. Raises SSLError."""
    with tempfile.NamedTemporaryFile() as pem:
        pem.write(certificate + b"\n" + key + b"\n")
        pem.flush()
        tls.load_cert_chain(pem.name)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a plugin that has not ended, and what it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            await process.wait()
