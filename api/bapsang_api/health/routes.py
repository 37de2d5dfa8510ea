"""The health route of the public listener, for people and outside monitors. Probes use the admin listener."""

from fastapi import APIRouter
from starlette.responses import Response

from bapsang_api.http.wire import API, plain, text_response

router = APIRouter(tags=["health"])


@router.get(f"{API}/health", response_class=Response, responses={200: plain("OK")})
@router.get("/health", response_class=Response, include_in_schema=False)
async def read_health() -> Response:
    """Answer `OK` while the process serves."""
    response = text_response("OK")
    response.headers["Cache-Control"] = "no-store"
    return response
