"""An ASGI application that does nothing, under the server's own flags: what the server itself costs."""

from starlette.types import Receive, Scope, Send

_HEAD = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"2"), (b"content-type", b"text/plain")],
}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send(_HEAD)
        await send({"type": "http.response.body", "body": b"OK"})
