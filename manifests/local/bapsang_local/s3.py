"""The local S3 server: its credentials, its bucket, who may read what, and pages of which origins.

Requests are signed here (SigV4): no client is needed.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from .cluster import Cluster
from .failure import Failure
from .settings import COMMUNITY_NAMESPACE

NAMESPACE = "bapsang-storage"
PORT = 7070
REGION = "ap-northeast-2"
BUCKET = "media"
ROOT_SECRET = "s3-root"  # noqa: S105  # names of Secrets
COMMUNITY_SECRET = "media-credentials"  # noqa: S105
#: Where the contract expects a web client that is being worked on, beside the site's own origin.
DEVELOPMENT_ORIGINS = ("http://localhost:3000", "http://127.0.0.1:3000")
# Published images are for everyone; uploads (users/, temp/) are for the API alone, and nobody lists.
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "PublishedImages",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{BUCKET}/public/*",
        }
    ],
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, as AWS clients name its two halves."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


def ensure_credentials(cluster: Cluster) -> None:
    """Generate the server's access key once, and put it where the sample Community looks for it."""
    for namespace in (NAMESPACE, COMMUNITY_NAMESPACE):
        if not cluster.kubectl_tries("get", "namespace", namespace):
            cluster.kubectl("create", "namespace", namespace)
    if not cluster.kubectl_tries("get", "secret", ROOT_SECRET, "-n", NAMESPACE):
        made = Credentials(f"LOCAL{secrets.token_hex(8).upper()}", secrets.token_hex(20))
        cluster.kubectl("create", "-f", "-", input=_secret(NAMESPACE, ROOT_SECRET, made))
    give_credentials(cluster, COMMUNITY_NAMESPACE)


def give_credentials(cluster: Cluster, namespace: str) -> None:
    """Put the access key into `namespace`, for a Community there."""
    copy = _secret(namespace, COMMUNITY_SECRET, credentials(cluster))
    cluster.kubectl("apply", "--server-side", "--field-manager", "bapsang-local", "-f", "-", input=copy)


def credentials(cluster: Cluster) -> Credentials:
    """Return the server's access key. Raises Failure before `ensure_credentials`."""
    template = "{{.data.AWS_ACCESS_KEY_ID | base64decode}} {{.data.AWS_SECRET_ACCESS_KEY | base64decode}}"
    words = cluster.kubectl("get", "secret", ROOT_SECRET, "-n", NAMESPACE, "-o", f"go-template={template}").split()
    return Credentials(*words)


def ensure_bucket(cluster: Cluster) -> None:
    """Prepare the bucket of the cluster's server. Raises Failure."""
    with cluster.forwarded(NAMESPACE, "service/s3", PORT) as port:
        try:
            prepare_bucket(port, credentials(cluster), (cluster.settings.url, *DEVELOPMENT_ORIGINS))
        except Failure as failure:
            advice = f"`kubectl logs -n {NAMESPACE} deployment/s3` may tell more."
            raise Failure(failure.problem, advice) from failure


def prepare_bucket(port: int, given: Credentials, origins: Iterable[str]) -> None:
    """Create the bucket unless it is there, and set its policy and its CORS rule. `port`: of 127.0.0.1. Raises Failure."""
    place = f"<LocationConstraint>{REGION}</LocationConstraint>"
    wanted = f"<CreateBucketConfiguration>{place}</CreateBucketConfiguration>".encode()
    _call(port, given, f"/{BUCKET}", wanted, (200, 409))  # 409: there already
    _call(port, given, f"/{BUCKET}?policy=", json.dumps(POLICY).encode(), (200, 204))
    _call(port, given, f"/{BUCKET}?cors=", cors(origins).encode(), (200, 204))


def cors(origins: Iterable[str]) -> str:
    """Return the CORS configuration: pages of these origins may upload by presigned URL, and read pictures they load.

    Answers to pages of any other origin have no CORS headers, and a preflight of theirs is a 403.
    """
    named = "".join(f"<AllowedOrigin>{escape(origin)}</AllowedOrigin>" for origin in origins)
    methods = "".join(f"<AllowedMethod>{method}</AllowedMethod>" for method in ("GET", "HEAD", "PUT"))
    headers = "<AllowedHeader>content-type</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
    rule = f"<CORSRule>{named}{methods}{headers}<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule>"
    return f'<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{rule}</CORSConfiguration>'


def signed(
    given: Credentials, region: str, host: str, method: str, target: str, body: bytes, now: datetime
) -> dict[str, str]:
    """Return the headers that prove a request (AWS Signature Version 4). `target`: path and query as sent, encoded and sorted."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    headers = {"Host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(headers).lower()
    path, _, query = target.partition("?")
    lines = [method, path, query, *(f"{name.lower()}:{value}" for name, value in headers.items()), "", names, digest]
    scope = [stamp[:8], region, "s3", "aws4_request"]
    request = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"AWS4" + given.secret_access_key.encode()
    for part in (*scope, "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(scope), request])):
        key = hmac.digest(key, part.encode(), "sha256")
    credential = "/".join([given.access_key_id, *scope])
    proof = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={key.hex()}"
    return {**headers, "Authorization": proof}


def _call(port: int, given: Credentials, target: str, body: bytes, expected: tuple[int, ...]) -> None:
    headers = signed(given, REGION, f"127.0.0.1:{port}", "PUT", target, body, datetime.now(UTC))
    # PutBucketCors is refused without it.
    headers["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("PUT", target, body=body, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    finally:
        connection.close()
    if answer.status not in expected:
        raise Failure(f"The S3 server answers {answer.status} to PUT {target}: {text[:300]}")


def _secret(namespace: str, name: str, given: Credentials) -> bytes:
    values = {"AWS_ACCESS_KEY_ID": given.access_key_id, "AWS_SECRET_ACCESS_KEY": given.secret_access_key}
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    metadata = {"name": name, "namespace": namespace}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}).encode()
