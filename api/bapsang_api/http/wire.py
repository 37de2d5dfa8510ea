"""Requests and answers: camelCase models, the answers made from them, and the route class that insists on JSON."""

from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from starlette.responses import PlainTextResponse, Response

from bapsang_api.http.bodies import JsonRequest
from bapsang_api.kit.clock import to_wire
from bapsang_api.kit.problem import ProblemBody, UnsupportedMediaType
from bapsang_api.kit.refusals import MEDIA_TYPE

API: Final = "/api/v1"


class Wire(BaseModel):
    """Base of request and response bodies: snake_case here, camelCase outside; unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True)


def _on_the_wire(value: object) -> object:
    return to_wire(value) if isinstance(value, datetime) else value


WireTime = Annotated[str, BeforeValidator(_on_the_wire), Field(examples=["2026-11-23T10:10:12.781554"])]
WireTimeOrNull = Annotated[str | None, BeforeValidator(_on_the_wire)]


def json_response(body: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `body` as JSON. Routes return ready bytes: the framework's own serialisation would cost a multiple."""
    return Response(body.model_dump_json(by_alias=True), status, headers, "application/json")


def json_bytes(body: bytes) -> Response:
    """Return a body that is JSON already."""
    return Response(body, media_type="application/json")


def text_response(text: str) -> PlainTextResponse:
    return PlainTextResponse(text)


class JsonRoute(APIRoute):
    """A route whose body, if it declares one, must be JSON; another content type is answered 415."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def insist_on_json(request: Request) -> Response:
            headers = request.headers
            has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
            content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
            if has_body and content_type != "application/json":
                raise UnsupportedMediaType
            return await handle(JsonRequest(request.scope, request.receive))

        return insist_on_json


def plain(example: str) -> dict[str, Any]:
    """Return the OpenAPI entry for an answer that is only a message."""
    return {"content": {"text/plain": {"schema": {"type": "string"}, "example": example}}}


_REASONS: Final = {
    400: "E400-1: 입력값이 유효하지 않습니다.",
    401: "T001, T002, T003 or E401-1",
    403: "E403-1: 접근 권한이 없습니다.",
    404: "E404-1: 해당 리소스를 찾을 수 없습니다.",
    409: "E409-1: 데이터 충돌이 발생했습니다.",
    413: "E413-1: 요청 본문이 너무 큽니다.",
    415: "E415-1: 지원하지 않는 콘텐츠 형식입니다.",
    429: "E429-1: 요청이 너무 많습니다.",
    500: "E500-1: 서버 오류가 발생했습니다.",
    503: "E503-1: 일시적으로 이용할 수 없습니다.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries for the errors of a route; 400 (of the head), 429, 500 and 503 are always among them."""
    return {
        status: {
            "description": _REASONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemBody.__name__}"}}},
        }
        for status in sorted({*statuses, 400, 429, 500, 503})
    }
