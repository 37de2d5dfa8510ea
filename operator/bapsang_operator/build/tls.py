"""How API containers and jobs verify an external database and Redis: environment, and the files with the authorities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bapsang_operator import names
from bapsang_operator.manifest import Manifest
from bapsang_operator.resource import CaBundle, Community

#: Of volumes, and below it of the files in a container.
_FOLDER = "/etc/bapsang"
_FILE = "ca.crt"
#: Stores that may be external. Pods that use one of them alone name it.
STORES = ("database", "redis")
#: What the API takes for the authorities that its image trusts.
_SYSTEM = "system"


def bundles(community: Community, stores: Sequence[str] = STORES) -> list[CaBundle]:
    """Return the authorities that the spec names."""
    return [bundle for _, _, bundle in _verified(community, stores) if bundle is not None]


def env(community: Community, stores: Sequence[str] = STORES) -> list[Manifest]:
    """Return the variables that say by what a server is verified; none of one that the URL alone tells how to reach."""
    return [
        {"name": f"{names.OPTIONAL}{variable}", "value": f"{_FOLDER}/{volume}/{_FILE}" if bundle else _SYSTEM}
        for variable, volume, bundle in _verified(community, stores)
    ]


def volumes(community: Community, stores: Sequence[str] = STORES) -> list[Manifest]:
    """Return the volumes with the authorities that the spec names."""
    return [_volume(volume, bundle) for _, volume, bundle in _verified(community, stores) if bundle is not None]


def mounts(community: Community, stores: Sequence[str] = STORES) -> list[Manifest]:
    """Return where a container has them."""
    names_of = [volume["name"] for volume in volumes(community, stores)]
    return [{"name": name, "mountPath": f"{_FOLDER}/{name}", "readOnly": True} for name in names_of]


def _verified(community: Community, stores: Sequence[str]) -> Iterator[tuple[str, str, CaBundle | None]]:
    """Yield variable, volume and authorities of each store that is verified, and of a mail server with its own ones."""
    for store, part in (("database", community.database), ("redis", community.redis)):
        if store in stores and part.verified:
            bundle = part.tls.ca_bundle if part.tls is not None else None
            yield f"BAPSANG_{store.upper()}_TLS_CA", f"{store}-ca", bundle
    if "mail" in stores and community.mail is not None and community.mail.ca_bundle is not None:
        yield "BAPSANG_SMTP_TLS_CA", "mail-ca", community.mail.ca_bundle


def _volume(name: str, bundle: CaBundle) -> Manifest:
    items = [{"key": bundle.key, "path": _FILE}]
    if bundle.kind == "Secret":
        return {"name": name, "secret": {"secretName": bundle.name, "defaultMode": 0o440, "items": items}}
    return {"name": name, "configMap": {"name": bundle.name, "defaultMode": 0o440, "items": items}}
