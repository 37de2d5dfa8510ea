"""The public signing keys and where to find them: what a JWT authorizer in front of other services reads."""

import json
from typing import Annotated, Any

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.access import provided
from bapsang_api.kit.security.claims import ALGORITHM
from bapsang_api.kit.security.tokens import SigningKey

router = APIRouter(prefix="/.well-known", tags=["discovery"])


class Discovery:
    """Both documents, rendered once: they change only with the keys, and those with the process."""

    def __init__(self, issuer: str, keys: list[SigningKey]) -> None:
        self.jwks = json.dumps({"keys": [key.jwk for key in keys]}).encode()
        self.configuration = json.dumps(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer.rstrip('/')}/.well-known/jwks.json",
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [ALGORITHM],
            }
        ).encode()


Documents = Annotated[Discovery, provided(Discovery)]


def _shown(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"schema": {"type": "object"}, "example": example}}}}


def _cacheable(content: bytes) -> Response:
    return Response(content, headers={"Cache-Control": "public, max-age=300"}, media_type="application/json")


@router.get(
    "/openid-configuration", response_class=Response, responses=_shown({"issuer": "https://community.example.com"})
)
async def read_configuration(documents: Documents) -> Response:
    """Return the OpenID Connect discovery document."""
    return _cacheable(documents.configuration)


@router.get("/jwks.json", response_class=Response, responses=_shown({"keys": [{"kty": "RSA", "alg": ALGORITHM}]}))
async def read_keys(documents: Documents) -> Response:
    """Return the public keys that access tokens are signed with (RFC 7517)."""
    return _cacheable(documents.jwks)
