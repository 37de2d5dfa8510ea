"""A mutating admission webhook on 127.0.0.1, which the apiserver really calls."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bapsang_operator.kinds import Kind

from .client import Client, Object

CONFIGURATIONS = Kind(
    "MutatingWebhookConfiguration", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"
)
#: Changes an object in place. What it raises makes the webhook answer 500, `DeniedError` deny.
Mutate = Callable[[Object], None]


class DeniedError(Exception):
    """Raised by a `Mutate` that does not let an object pass; `code` is the HTTP status that the apiserver answers with."""

    def __init__(self, code: int) -> None:
        self.code = code


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "webhook")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "webhook.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    ca = folder / "webhook-ca.pem"
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return ca


def _handler(mutate: Mutate) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = review["request"]["object"]
            answer = {"uid": review["request"]["uid"], "allowed": True}
            try:
                mutate(found)
            except DeniedError as error:
                answer |= {"allowed": False, "status": {"code": error.code, "message": "not by this policy"}}
            except Exception as error:
                self.send_error(500, str(error))
                return
            patch = [{"op": "replace", "path": f"/{name}", "value": found[name]} for name in ("metadata", "spec")]
            patch = [operation for operation in patch if operation["path"][1:] in found]
            if answer["allowed"]:
                answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
            body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer})
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def serving(client: Client, namespace: str, resources: list[str], mutate: Mutate, folder: Path) -> Iterator[None]:
    """Have objects of a namespace mutated when they are created or changed; what fails is refused."""
    ca = _certificate(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(mutate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "webhook.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    name = f"{namespace}.example.com"
    configuration = {
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": name,
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.server_port}/",
                    "caBundle": base64.b64encode(ca.read_bytes()).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["*"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": resources,
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "failurePolicy": "Fail",
                "timeoutSeconds": 2,
            }
        ],
    }
    answer = client.create(CONFIGURATIONS, configuration)
    assert answer.is_success, answer.text
    try:
        yield
    finally:
        client.delete(CONFIGURATIONS, None, name)
        server.shutdown()
        server.server_close()
        thread.join()
