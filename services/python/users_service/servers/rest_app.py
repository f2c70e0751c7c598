"""The REST interface as a FastAPI application."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from users_service import json_wire, service
from users_service.call import deadline_error
from users_service.errors import CallError, Code, as_call_error, invalid, too_large
from users_service.methods import METHODS
from users_service.servers import rest_models as models
from users_service.servers.rest_streams import Ndjson, failure_answer, json_answer, messages

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, MutableMapping

    from google.protobuf.message import Message
    from starlette.types import ASGIApp, Receive, Scope, Send

    from users_service.servers.context import Context

_U32 = 0xFFFF_FFFF
#: After so many items of a stream the server looks whether its client is still there.
_LOOK_UP = 128
_NDJSON = "application/x-ndjson"

Deadline = Annotated[
    int,
    Header(alias="X-Deadline-Ms", ge=0, le=_U32, description="how long the client will wait, in milliseconds"),
]
UserId = Annotated[str, Path(description="a user's id")]
ItemId = Annotated[int, Path(ge=0, le=_U32)]


def make_app(context: Context) -> ASGIApp:
    """Return the application that serves `context`."""
    app = FastAPI(
        title="Users and items",
        version="1.0.0",
        description="One service behind four transports; this is its REST side.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    _users(app, context)
    _items(app, context)
    _echo(app, context)

    @app.get("/healthz", response_model=models.Health, operation_id="health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    app.add_exception_handler(CallError, lambda _request, error: failure_answer(as_call_error(error)))
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(RequestValidationError, _not_valid)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, lambda _request, error: failure_answer(as_call_error(error)))
    return _CallLog(app, context) if context.log_calls else app


def _users(app: FastAPI, context: Context) -> None:
    async def call(method: str, fields: dict[str, Any], deadline: int) -> Message:
        """Make a call that may wait for the store."""
        request = json_wire.read(METHODS[method].request, fields)
        handler = context.service.handlers[method]
        reply: Message = await run_in_threadpool(handler, request, context.begin(deadline))
        return reply

    fields = models.body("application/json", models.UserFields.model_json_schema())
    bad, missing, taken = Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.ALREADY_EXISTS

    @app.get("/api/users", responses=_ok(models.UserList), operation_id="list_users")
    async def list_users(deadline: Deadline = 0) -> Response:
        return json_answer(await call("Users.List", {}, deadline))

    @app.post(
        "/api/users",
        status_code=201,
        responses={
            201: {
                "model": models.User,
                "headers": {"Location": {"description": "the user's path", "schema": {"type": "string"}}},
            },
            **models.failures(bad, taken),
        },
        openapi_extra=fields,
        operation_id="create_user",
    )
    async def create_user(request: Request, deadline: Deadline = 0) -> Response:
        user = await call("Users.Create", await _object(request, context.max_message), deadline)
        answer = json_answer(user, 201)
        answer.headers["Location"] = f"/api/users/{user.id}"  # type: ignore[attr-defined]
        return answer

    @app.get("/api/users/search", responses=_ok(models.UserList, bad), operation_id="search_users")
    async def search_users(
        q: Annotated[str, Query(min_length=1, max_length=254, description="part of a name or an e-mail address")],
        deadline: Deadline = 0,
    ) -> Response:
        return json_answer(await call("Users.Search", {"q": q}, deadline))

    @app.get("/api/users/{id}", responses=_ok(models.User, missing), operation_id="get_user")
    async def get_user(id: UserId, deadline: Deadline = 0) -> Response:  # noqa: A002 - the path's name
        return json_answer(await call("Users.Get", {"id": id}, deadline))

    @app.put(
        "/api/users/{id}",
        responses=_ok(models.User, bad, missing, taken),
        openapi_extra=fields,
        operation_id="update_user",
    )
    async def update_user(id: UserId, request: Request, deadline: Deadline = 0) -> Response:  # noqa: A002
        body = await _object(request, context.max_message)
        return json_answer(await call("Users.Update", {**body, "id": id}, deadline))

    @app.delete("/api/users/{id}", responses=_ok(models.User, missing), operation_id="delete_user")
    async def delete_user(id: UserId, deadline: Deadline = 0) -> Response:  # noqa: A002
        return json_answer(await call("Users.Delete", {"id": id}, deadline))


def _items(app: FastAPI, context: Context) -> None:
    handlers = context.service.handlers
    item_lines = {"schema": models.Item.model_json_schema()}

    @app.get(
        "/items/{id}",
        responses=_ok(models.Item, Code.INVALID_ARGUMENT, Code.NOT_FOUND),
        operation_id="get_item",
    )
    async def get_item(id: ItemId, deadline: Deadline = 0) -> Response:  # noqa: A002
        request = METHODS["Items.Get"].request(id=id)
        return json_answer(handlers["Items.Get"](request, context.begin(deadline)))

    @app.get(
        "/items",
        response_class=StreamingResponse,
        responses={200: {"content": {_NDJSON: item_lines}}, **models.failures(Code.INVALID_ARGUMENT)},
        operation_id="list_items",
    )
    async def list_items(
        http: Request,
        first: Annotated[int, Query(ge=0, le=_U32)] = 1,
        count: Annotated[int, Query(ge=0, le=_U32)] = 100,
        deadline: Deadline = 0,
    ) -> Response:
        request = METHODS["Items.List"].request(first=first, count=count)
        return Ndjson(_while_read(http, handlers["Items.List"](request, context.begin(deadline))))

    @app.post(
        "/items",
        responses=_ok(models.UploadSummary, Code.INVALID_ARGUMENT),
        openapi_extra=models.body(_NDJSON, item_lines["schema"]),
        operation_id="upload_items",
    )
    async def upload_items(request: Request, deadline: Deadline = 0) -> Response:
        conversation = context.service.conversations["Items.Upload"](context.begin(deadline))
        async for item in messages(request, METHODS["Items.Upload"].request, context.max_message):
            conversation.take(item)
        reply = conversation.finish()
        assert reply is not None
        return json_answer(reply)

    chat_line = {"type": "object", "properties": {"number": {"type": "integer"}, "text": {"type": "string"}}}

    @app.post(
        "/items/chat",
        response_class=StreamingResponse,
        responses={
            200: {"content": {_NDJSON: {"schema": chat_line}}},
            **models.failures(Code.INVALID_ARGUMENT),
        },
        openapi_extra=models.body(_NDJSON, chat_line),
        operation_id="chat",
    )
    async def chat(request: Request, deadline: Deadline = 0) -> Response:
        conversation = context.service.conversations["Items.Chat"](context.begin(deadline))
        questions = messages(request, METHODS["Items.Chat"].request, context.max_message)
        return Ndjson(conversation.take(question) async for question in questions)


def _echo(app: FastAPI, context: Context) -> None:
    @app.post(
        "/echo",
        response_class=Response,
        responses={
            200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}},
            **models.failures(Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED),
        },
        openapi_extra=models.body("application/octet-stream", {"type": "string", "format": "binary"}),
        operation_id="echo",
    )
    async def echo(
        request: Request,
        delay_ms: Annotated[int, Query(ge=0, le=service.MAX_DELAY_MS)] = 0,
        deadline: Deadline = 0,
    ) -> Response:
        call = context.begin(deadline)
        payload = await _body(request, context.max_message)
        if delay_ms:
            allowed = call.allowed(delay_ms / 1000)
            await asyncio.sleep(allowed)
            if allowed < delay_ms / 1000:
                raise deadline_error()
        call.check()
        return Response(payload, media_type="application/octet-stream")


def _ok(model: Any, *codes: Code) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **models.failures(*codes)}


async def _body(request: Request, limit: int) -> bytes:
    """Return a body. RESOURCE_EXHAUSTED when it is longer than `limit` bytes."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(int(announced), limit, "body")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(len(body), limit, "body")
    return bytes(body)


async def _object(request: Request, limit: int) -> dict[str, Any]:
    value = json_wire.loads(await _body(request, limit))
    if not isinstance(value, dict):
        raise invalid("the body is to be a JSON object")
    return value


async def _while_read(request: Request, items: Iterator[Message]) -> AsyncIterator[Message]:
    """Yield items as long as the client is there; between them the loop sees to other calls."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _LOOK_UP:
            await asyncio.sleep(0)
        elif await request.is_disconnected():
            return


def _gone(_request: Request, _error: Exception) -> Response:
    return failure_answer(CallError(Code.CANCELLED, "the client left before the end of its call"))


def _not_valid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return failure_answer(invalid(f"'{first['loc'][-1]}' cannot be used: {first['msg']}"))


def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known_path = error.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    what = f"{request.url.path} has no method {request.method}" if known_path else f"there is no {request.url.path}"
    answer = failure_answer(CallError(Code.UNIMPLEMENTED, f"{what}; /openapi.json says what there is"))
    answer.status_code = error.status_code
    answer.headers.update(error.headers or {})
    return answer


class _CallLog:
    """Notes each call when it is over."""

    def __init__(self, app: ASGIApp, context: Context) -> None:
        self._app = app
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        began = time.perf_counter()
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def noting(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            code = (
                Code.OK
                if status < HTTPStatus.BAD_REQUEST
                else next((code for code in Code if code.http_status == status), Code.UNIMPLEMENTED)
            )
            self._context.note("rest", f"{scope['method']} {scope['path']}", code, began)
