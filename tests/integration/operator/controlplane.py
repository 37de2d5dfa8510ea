"""A control plane for the tests alone: etcd, kube-apiserver and the garbage collector, on 127.0.0.1 and for seconds.

No node and no workload controller, so a test decides itself when a database is ready or a migration fails.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import random
import secrets
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bapsang_local.settings import from_environment

START_SECONDS = 60
#: What a program says whose port was taken between `free_port` and its start.
PORT_TAKEN = "address already in use"
START_ATTEMPTS = 5
#: What clears up; without any other controller a test plays them itself.
COLLECTORS = ("garbage-collector-controller", "namespace-controller")
OPERATOR_NAMESPACE = "bapsang-system"
#: A second account, for an operator that may act in single namespaces only.
NAMESPACED_USER = "system:serviceaccount:team:bapsang-operator"
OPERATOR_USER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:bapsang-operator"
_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": [OPERATOR_USER]}, {"level": "None"}],
}


class PortTakenError(RuntimeError):
    """Another process has bound a port that was free a moment ago."""


@dataclass(frozen=True)
class Programs:
    etcd: Path
    kube: Path


@dataclass
class AuditLog:
    """The apiserver's audit log, of which only what is new is read at each look."""

    path: Path
    _offset: int = 0
    _events: list[dict[str, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # lives that are lived at once look at one log

    def events(self) -> list[dict[str, Any]]:
        with self._lock:
            self._read()
            return self._events

    def _read(self) -> None:
        with self.path.open("rb") as log:
            log.seek(self._offset)
            complete, newline, _ = log.read().rpartition(b"\n")
        self._offset += len(complete) + len(newline)
        found = (json.loads(line) for line in complete.splitlines())
        self._events += [one for one in found if one["user"]["username"] == OPERATOR_USER and "objectRef" in one]


class ClientAuthority:
    """Signs client certificates that the apiserver takes."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "clients")])
        self.certificate, _ = self._sign(self._name, self._key, dt.timedelta(days=1), x509.BasicConstraints(True, None))

    def issue(self, user: str, lifetime: dt.timedelta) -> tuple[str, str]:
        """Return a certificate for a user, and its key."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, user)])
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        return self._sign(name, ec.generate_private_key(ec.SECP256R1()), lifetime, usage)

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: dt.timedelta, extension: x509.ExtensionType
    ) -> tuple[str, str]:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder(self._name, name, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(minutes=1)).not_valid_after(now + lifetime)
        signed = builder.add_extension(extension, critical=True).sign(self._key, hashes.SHA256())
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return signed.public_bytes(serialization.Encoding.PEM).decode(), key.private_bytes(*form).decode()


@dataclass(frozen=True)
class ControlPlane:
    server: str
    admin: Path
    operator: Path
    namespaced: Path
    audit: AuditLog
    clients: ClientAuthority

    def audited(self) -> list[dict[str, Any]]:
        """Return the operators' requests about objects so far, as the apiserver's audit log has them."""
        return self.audit.events()


def programs() -> Programs | None:
    """Find the binaries that the local cluster was built from; BAPSANG_TEST_KUBE_BIN names another folder."""
    folder = Path(os.environ.get("BAPSANG_TEST_KUBE_BIN") or from_environment().bin)
    # In the local cluster's cache, names end in version and hash.
    etcd = sorted([*folder.glob("etcd"), *folder.glob("etcd-*")])
    kube = sorted([*folder.glob("kube"), *folder.glob("kube-[0-9]*")])
    return Programs(etcd[-1], kube[-1]) if etcd and kube else None


@contextlib.contextmanager
def running(
    found: Programs,
    folder: Path,
    prepare: Callable[[Path], None],
    controllers: Sequence[str] = COLLECTORS,
    options: Sequence[str] = (),
) -> Iterator[ControlPlane]:
    """Run a control plane. Its kubeconfigs: `admin` may do all, `operator` what RBAC gives to the operator's account.

    `prepare` gets the first before the controllers start: a CRD made later is garbage-collected only half a minute on.
    `options` are further ones of the controllers.
    """
    for attempt in range(START_ATTEMPTS):
        own = folder / f"attempt-{attempt}"
        own.mkdir()
        with contextlib.ExitStack() as stack:
            try:
                plane = stack.enter_context(_running(found, own, prepare, controllers, options))
            except PortTakenError:
                continue
            yield plane
            return
    raise RuntimeError(f"no free ports in {START_ATTEMPTS} attempts")


@contextlib.contextmanager
def _running(
    found: Programs,
    folder: Path,
    prepare: Callable[[Path], None],
    controllers: Sequence[str],
    options: Sequence[str],
) -> Iterator[ControlPlane]:
    etcd_port, peer_port, api_port = (free_port() for _ in range(3))
    etcd, server = f"http://127.0.0.1:{etcd_port}", f"https://127.0.0.1:{api_port}"
    tokens = {"admin": secrets.token_hex(16), "operator": secrets.token_hex(16), "namespaced": secrets.token_hex(16)}
    (folder / "tokens.csv").write_text(
        f'{tokens["admin"]},admin,1,"system:masters"\n{tokens["operator"]},{OPERATOR_USER},2,"system:serviceaccounts"\n'
        f'{tokens["namespaced"]},{NAMESPACED_USER},3,"system:serviceaccounts"\n'
    )
    key = _service_account_key(folder)
    configs = (_kubeconfig(folder, server, user, tokens[user]) for user in tokens)
    plane = ControlPlane(server, *configs, AuditLog(folder / "audit.log"), ClientAuthority())
    (folder / "clients.pem").write_text(plane.clients.certificate)
    (folder / "audit.yaml").write_text(yaml.safe_dump(_AUDIT))
    commands = {
        "etcd": [
            str(found.etcd),
            f"--data-dir={folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=error",
            *(f"--{name}-client-urls={etcd}" for name in ("listen", "advertise")),
            f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
            f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
        ],
        "apiserver": [
            str(found.kube),
            "kube-apiserver",
            f"--etcd-servers={etcd}",
            f"--secure-port={api_port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--audit-policy-file={folder / 'audit.yaml'}",
            f"--audit-log-path={plane.audit.path}",
            "--audit-log-mode=blocking-strict",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            f"--client-ca-file={folder / 'clients.pem'}",
            "--authorization-mode=RBAC",
            f"--service-account-issuer={server}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.96.0.0/16",
            # No controller runs that makes the `default` account of a namespace, or that lets go of a deleted volume.
            "--disable-admission-plugins=ServiceAccount,StorageObjectInUseProtection",
        ],
        "controllers": [*_manager(found, plane, controllers), *options],
    }
    with contextlib.ExitStack() as stack:
        started = {name: stack.enter_context(process(name, commands[name], folder)) for name in ("etcd", "apiserver")}
        _wait_for_apiserver(server, tokens["admin"], started, folder)
        prepare(plane.admin)
        stack.enter_context(process("controllers", commands["controllers"], folder))
        yield plane
    shutil.rmtree(folder / "etcd", ignore_errors=True)


@contextlib.contextmanager
def controllers(plane: ControlPlane, names: Sequence[str], folder: Path) -> Iterator[None]:
    """Run more of Kubernetes' controllers on a control plane for a while; they act in all its namespaces."""
    found = programs()
    assert found is not None
    with process("more-controllers", _manager(found, plane, names), folder):
        yield


def _manager(found: Programs, plane: ControlPlane, names: Sequence[str]) -> list[str]:
    return [
        str(found.kube),
        "kube-controller-manager",
        f"--kubeconfig={plane.admin}",
        f"--controllers={','.join(names)}",
        "--leader-elect=false",
        "--secure-port=0",
    ]


def free_port() -> int:
    """Return a port that nobody listens on. Another process may bind it first, so whoever uses it starts again when its
    program says PORT_TAKEN. Below the ports that the kernel gives to outgoing connections."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _service_account_key(folder: Path) -> Path:
    path = folder / "service-account.pem"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    return path


def _kubeconfig(folder: Path, server: str, user: str, token: str) -> Path:
    path = folder / f"{user}.kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


@contextlib.contextmanager
def process(name: str, command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a folder, its output in a log there, and end it afterwards."""
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)


def _wait_for_apiserver(server: str, token: str, started: Mapping[str, subprocess.Popen[bytes]], folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(verify=False, headers={"Authorization": f"Bearer {token}"}) as client:  # noqa: S501 - our own
        while time.monotonic() < deadline and all(one.poll() is None for one in started.values()):
            with contextlib.suppress(httpx.TransportError):
                if client.get(f"{server}/readyz").status_code == 200:
                    return
            time.sleep(0.2)
    logs = {name: (folder / f"{name}.log").read_text() for name in started}
    if any(PORT_TAKEN in text for text in logs.values()):
        raise PortTakenError
    raise RuntimeError("\n".join(f"{name} did not start:\n{text[-4000:]}" for name, text in logs.items()))
