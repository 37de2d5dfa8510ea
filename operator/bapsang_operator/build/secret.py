"""The Secrets that the operator generates: one signing key and the passwords of what it runs itself."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bapsang_operator import names
from bapsang_operator.build import meta, mysql, redis, wiring
from bapsang_operator.child import Manifest
from bapsang_operator.names import Component
from bapsang_operator.spec import Community

Content = Mapping[str, str]


def generators(community: Community) -> dict[str, Callable[[], Content]]:
    """Return, by Secret name, what makes the content of each Secret that this Community needs generated."""
    found: dict[str, Callable[[], Content]] = {}
    if community.auth.signing_key is None:
        found[names.signing_key(community.name)] = _signing_key
    if community.redis.managed:
        found[names.redis(community.name)] = lambda: _redis(names.redis(community.name))
    if community.database.embedded:
        found[names.mysql(community.name)] = lambda: _mysql(names.mysql(community.name))
    return found


def manifest(community: Community, name: str, content: Content) -> Manifest:
    """Return the Secret object."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta.metadata(community, name, Component.API),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


def _password() -> str:
    # Hexadecimal: stands in URLs, SQL and redis.conf without any quoting.
    return secrets.token_hex(24)


def _signing_key() -> Content:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {wiring.KEY_FILE: pem.decode()}


def _redis(host: str) -> Content:
    password = _password()
    return {
        "password": password,
        "url": f"redis://:{password}@{host}:{redis.PORT}/0",
        "redis.conf": redis.config(password),
    }


def _mysql(host: str) -> Content:
    password, root = _password(), _password()
    return {
        "password": password,
        "root-password": root,
        "url": f"mysql+pymysql://{mysql.USER}:{password}@{host}:{mysql.PORT}/{mysql.DATABASE}?charset=utf8mb4",
        "init.sql": mysql.init_sql(password, root),
    }
