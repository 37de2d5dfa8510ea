"""The Secrets that the operator generates: one signing key and the passwords of what it runs itself."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bapsang_operator import names
from bapsang_operator.build import meta, mysql, redis, wiring
from bapsang_operator.manifest import Manifest
from bapsang_operator.names import Component
from bapsang_operator.resource import Community

Content = Mapping[str, str]
#: Stands in URLs, SQL and redis.conf without any quoting.
_PASSWORD: Final = re.compile("[A-Za-z0-9]{8,128}")


def generators(community: Community) -> dict[str, Callable[[], Content]]:
    """Return, by Secret name, what makes the content of each Secret that this Community needs generated."""
    found: dict[str, Callable[[], Content]] = {}
    if community.auth.signing_key is None:
        found[names.signing_key(community.name)] = _signing_key
    if community.redis.managed:
        found[names.redis(community.name)] = lambda: _redis(names.redis(community.name), _password())
    if community.database.embedded:
        found[names.mysql(community.name)] = lambda: _mysql(names.mysql(community.name), _password(), _password())
    return found


#: The keys of each generated Secret's content, by the name that `bapsang_operator.names` gives it.
_KEYS: Final = {
    names.signing_key: (wiring.KEY_FILE,),
    names.redis: ("password", "url", "redis.conf"),
    names.mysql: ("password", "root-password", "url", "init.sql"),
}


def keys(community: Community) -> dict[str, tuple[str, ...]]:
    """Return, by Secret name, the keys of each Secret that this Community needs generated."""
    known = {name_of(community.name): found for name_of, found in _KEYS.items()}
    return {name: known[name] for name in generators(community)}


def manifest(community: Community, name: str, content: Content) -> Manifest:
    """Return the Secret object."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(community, name),
        "type": "Opaque",
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in content.items()},
    }


def metadata(community: Community, name: str) -> Manifest:
    """Return the metadata of a generated Secret. A retained key names the issuer: tokens of another one are refused."""
    found = meta.metadata_of_data(community, name, Component.API)
    if community.retains and name == names.signing_key(community.name):
        found["annotations"] = {names.ANNOTATION_ISSUER: community.issuer}
    return found


def _password() -> str:
    return secrets.token_hex(24)


def _signing_key() -> Content:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {wiring.KEY_FILE: pem.decode()}


def copies(community: Community, name: str, values: Mapping[str, bytes]) -> Content:
    """Return the keys of a generated Secret that hold another password than the one that they are to hold, with that in
    them: whoever rotates a password changes its key alone. Raises ValueError for one that could not stand in them."""
    held: dict[str, set[str]] = {}
    made: Content = {}
    if name == names.redis(community.name):
        held = {"url": {"password"}, "redis.conf": {"password"}}
        made = _redis(name, _text(values, "password"))
    elif name == names.mysql(community.name):
        held = {"url": {"password"}, "init.sql": {"password", "root-password"}}
        made = _mysql(name, _text(values, "password"), _text(values, "root-password"))
    found = {key for key, parts in held.items() if {key, *parts} <= values.keys() and not _holds(values, key, parts)}
    if not all(_PASSWORD.fullmatch(_text(values, part)) for key in found for part in held[key]):
        raise ValueError("give 8 to 128 letters and digits, without a line end, so that they can follow")
    return {key: made[key] for key in found}


def _holds(values: Mapping[str, bytes], key: str, parts: set[str]) -> bool:
    return all(values[part] and values[part] in values[key] for part in parts)


def _text(values: Mapping[str, bytes], key: str) -> str:
    return values.get(key, b"").decode(errors="replace")


def _redis(host: str, password: str) -> Content:
    return {
        "password": password,
        "url": f"redis://:{password}@{host}:{redis.PORT}/0",
        "redis.conf": redis.config(password),
    }


def _mysql(host: str, password: str, root: str) -> Content:
    return {
        "password": password,
        "root-password": root,
        "url": f"mysql+pymysql://{mysql.USER}:{password}@{host}:{mysql.PORT}/{mysql.DATABASE}?charset=utf8mb4",
        "init.sql": mysql.init_sql(password, root),
    }
