"""The way to all other routes: the framework's application, asked for one answer as a whole."""

from starlette.types import ASGIApp, Message, Receive

from bapsang_api.http.answers import Answer
from bapsang_api.http.request import Request


async def framework_answer(app: ASGIApp, request: Request, receive: Receive) -> Answer | None:
    """Return the framework's answer to a request; None when it gives none, because the client has gone."""
    messages: list[Message] = []

    async def take(message: Message) -> None:
        messages.append(message)

    await app(request.scope, receive, take)
    request.route = getattr(request.scope.get("route"), "path", request.route)
    if not messages:
        return None
    start, *bodies = messages
    status, content = start["status"], b"".join(body.get("body", b"") for body in bodies)
    answer = Answer(status, content, start.get("headers", ()))
    if answer.header(b"content-length") is None and status not in (204, 304):
        return Answer(status, content, [*answer.headers, (b"content-length", b"%d" % len(content))])
    return answer
