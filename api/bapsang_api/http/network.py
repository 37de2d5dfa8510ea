"""Where a request came from."""

from typing import Final

from starlette.types import Scope

_LONGEST: Final = 64  # characters, of an IPv6 address with its zone


def client_address(scope: Scope) -> str:
    """Return the address of the client, or what stands in its place: at most 64 characters, as it becomes the key of caches.

    Behind an ingress that is the last entry of X-Forwarded-For, the one our own ingress added: everything before it was
    written by the client and may be made up.
    """
    header: bytes = next((value for name, value in scope["headers"] if name == b"x-forwarded-for"), b"")
    forwarded = header.decode("latin-1").rpartition(",")[2].strip()
    if forwarded:
        return forwarded[:_LONGEST]
    client = scope.get("client")
    return str(client[0]) if client else ""
