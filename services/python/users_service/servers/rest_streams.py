"""Answers of the REST interface, and its streams: a JSON object per line, in both directions as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from users_service import json_wire
from users_service.errors import CallError, as_call_error, too_large

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.message import Message
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from users_service.json_wire import M


def json_answer(message: Message, status: int = 200) -> Response:
    """Return a message as an answer."""
    return Response(json_wire.dumps(json_wire.write(message)), status, media_type="application/json")


def failure_answer(error: CallError) -> Response:
    """Return the answer of a call that did not succeed."""
    content = json_wire.dumps({"error": error.as_json()})
    return Response(content, error.code.http_status, media_type="application/json")


async def messages(request: Request, message: type[M], limit: int) -> AsyncIterator[M]:
    """Yield the messages of a body's lines; empty lines are skipped.

    Raises INVALID_ARGUMENT, and RESOURCE_EXHAUSTED for a line longer than `limit` bytes.
    """
    rest = b""
    async for chunk in request.stream():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(bytes.strip, lines):
            yield json_wire.read(message, json_wire.loads(line))
        if len(rest) > limit:
            raise too_large(len(rest), limit, "line")
    if rest.strip():
        yield json_wire.read(message, json_wire.loads(rest))


class Ndjson(Response):
    """Sends messages as lines while they come.

    One that fails before its first message is an answer with the error's status; later, the error is the last line.
    Starlette's own StreamingResponse cannot be used: to notice a client that leaves, it reads the request's body away.
    """

    media_type = "application/x-ndjson"

    def __init__(self, replies: AsyncIterator[Message | None]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        begun = False
        try:
            async for reply in self._replies:
                if reply is None:
                    continue
                if not begun:
                    await self._begin(send)
                    begun = True
                line = json_wire.dumps(json_wire.write(reply)) + b"\n"
                await send({"type": "http.response.body", "body": line, "more_body": True})
        except ClientDisconnect:
            return
        except Exception as exception:
            error = as_call_error(exception)
            if not begun:
                await failure_answer(error)(scope, receive, send)
                return
            line = json_wire.dumps({"error": error.as_json()}) + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        else:
            if not begun:
                await self._begin(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _begin(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
