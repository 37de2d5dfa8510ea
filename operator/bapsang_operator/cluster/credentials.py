"""Where the apiserver is and how to prove who we are: from the pod's service account, or from a kubeconfig."""

from __future__ import annotations

import base64
import os
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from bapsang_operator.cluster.exec_plugin import Plugin, PluginError, load_pair

_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: The kubelet renews a pod's token well before it ends; reading it this often never sees a stale one.
_TOKEN_SECONDS = 60.0


class CredentialsError(Exception):
    """No usable credentials; the message says where they were looked for."""


@dataclass
class Credentials:
    """An apiserver and the means to talk to it."""

    server: str
    tls: ssl.SSLContext | bool
    token: str | None = None
    token_file: Path | None = None
    plugin: Plugin | None = None
    _read_at: float = field(default=float("-inf"), repr=False)

    def session(self, trace: aiohttp.TraceConfig, identity: str) -> aiohttp.ClientSession:
        """Open a session that authenticates every request and names this process in the apiserver's audit log."""
        return aiohttp.ClientSession(
            # A certificate counts for the life of its connection: where it is replaced, no connection outlives a request.
            connector=aiohttp.TCPConnector(
                ssl=self.tls, limit=0, force_close=self.plugin is not None and self.plugin.gives_certificates
            ),
            headers={"User-Agent": f"bapsang-operator ({identity})", "Accept": "application/json"},
            middlewares=(self._authenticate,),
            trace_configs=[trace],
        )

    async def _authenticate(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.plugin is None:
            return await _send(request, handler, self._current_token())
        given = await self.plugin.answer()
        answer = await _send(request, handler, given.token)
        if answer.status == 401:
            answer.release()
            self.plugin.refused(given)
            answer = await _send(request, handler, (await self.plugin.answer()).token)
        return answer

    async def prepare(self) -> None:
        """Ask a plugin for the first time, so that the operator does not start with a faulty one. Raises CredentialsError."""
        if self.plugin is not None:
            try:
                await self.plugin.answer()
            except PluginError as error:
                raise CredentialsError(str(error)) from error

    def _current_token(self) -> str | None:
        if self.token_file is not None and time.monotonic() - self._read_at > _TOKEN_SECONDS:
            self.token = self.token_file.read_text().strip()
            self._read_at = time.monotonic()
        return self.token


async def _send(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType, token: str | None
) -> aiohttp.ClientResponse:
    if token is not None:
        request.headers["Authorization"] = f"Bearer {token}"
    return await handler(request)


def load(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials of KUBECONFIG, else of the pod, else of ~/.kube/config. Raises CredentialsError."""
    if "KUBECONFIG" in environment:
        return from_kubeconfig(Path(environment["KUBECONFIG"]))
    if "KUBERNETES_SERVICE_HOST" in environment and (_SERVICE_ACCOUNT / "token").exists():
        return _from_pod(environment)
    default = Path.home() / ".kube" / "config"
    if default.exists():
        return from_kubeconfig(default)
    raise CredentialsError("no cluster: KUBECONFIG is not set, this is no pod, and ~/.kube/config does not exist")


def _from_pod(environment: Mapping[str, str]) -> Credentials:
    host = environment["KUBERNETES_SERVICE_HOST"]
    host = f"[{host}]" if ":" in host else host
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    return Credentials(
        server=f"https://{host}:{port}",
        tls=ssl.create_default_context(cafile=str(_SERVICE_ACCOUNT / "ca.crt")),
        token_file=_SERVICE_ACCOUNT / "token",
    )


def from_kubeconfig(path: Path) -> Credentials:
    """Return the credentials of the current context: a token, a client certificate or an exec plugin.

    Raises CredentialsError when the file is unreadable, incomplete or names a plugin that cannot be used.
    """
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config["current-context"], "context")
        cluster = _named(config, "clusters", context["cluster"], "cluster")
        user = _named(config, "users", context["user"], "user")
        server = str(cluster["server"])
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise CredentialsError(f"kubeconfig {path} cannot be used: {error!r}") from error
    if "auth-provider" in user:
        raise CredentialsError(
            f"kubeconfig {path}: auth-provider is gone from Kubernetes; let the user have exec instead"
        )
    token_file = user.get("tokenFile")
    tls = _tls(cluster, user, path.parent)
    try:
        plugin = Plugin(user["exec"], cluster, path.parent, tls) if "exec" in user else None
    except (PluginError, KeyError, TypeError) as error:
        raise CredentialsError(f"kubeconfig {path}: {error}") from error
    return Credentials(
        server=server.rstrip("/"),
        tls=tls,
        token=user.get("token"),
        token_file=path.parent / token_file if token_file is not None else None,
        plugin=plugin,
    )


def _named(config: Mapping[str, Any], section: str, name: str, key: str) -> Mapping[str, Any]:
    for entry in config[section]:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[key] or {}
            return found
    raise KeyError(f"{section}: {name}")


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext | bool:
    if not str(cluster["server"]).startswith("https:"):
        return True
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        context.load_verify_locations(cafile=str(folder / cluster["certificate-authority"]))
    if "client-certificate-data" in user:
        load_pair(context, *(base64.b64decode(user[part]) for part in ("client-certificate-data", "client-key-data")))
    elif "client-certificate" in user:
        context.load_cert_chain(folder / user["client-certificate"], folder / user["client-key"])
    return context
