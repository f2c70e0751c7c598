"""The HTTP side of the service."""

from __future__ import annotations

import json
import os
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response

from users_service.responder import Responder, error
from users_service.users import BadRequestError, answer, check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_JSON = "application/json"
_FILE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{1,200}")


def make(segment: str, shm_dir: Path, shm_limit: int) -> FastAPI:
    """Return the application; it answers over ESHM while it runs."""
    responder = Responder(segment)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        responder.start()
        yield
        responder.stop()

    app = FastAPI(title="users", lifespan=lifespan)

    @app.exception_handler(BadRequestError)
    async def refuse(_: Request, reason: BadRequestError) -> Response:
        return Response(error(str(reason)), status_code=400, media_type=_JSON)

    @app.get("/health")
    async def health() -> dict[str, object]:
        return {"status": "ok", "eshm": responder.is_alive()}

    @app.get("/api/users")
    async def users(request: Request) -> Response:
        return Response(b"".join(wanted(request)), media_type=_JSON)

    @app.post("/api/write-to-shm")
    async def write_to_shm(request: Request) -> Response:
        parts = wanted(request)
        size = sum(map(len, parts))
        if size > shm_limit:
            reason = f"the answer has {size} bytes, a file in shared memory may have {shm_limit}"
            return Response(error(reason), status_code=507, media_type=_JSON)
        write(shm_dir / file_name(request), parts)
        return Response(json.dumps({"size": size}), media_type=_JSON)

    return app


def file_name(request: Request) -> str:
    """Return what the file is to be called: a name, and not a way out of the folder."""
    name = request.query_params.get("file", "")
    if not _FILE_NAME.fullmatch(name):
        raise BadRequestError(f"file is {name!r:.80}, expected a name of letters, digits, '.', '_' and '-'")
    return name


def wanted(request: Request) -> tuple[bytes, bytes, bytes]:
    """Return the answer that a request wants."""
    query = request.query_params
    count, records = check(query.get("count", "100"), query.get("records", "10"))
    return answer(query.get("request_id", ""), count, records)


def write(path: Path, parts: tuple[bytes, ...]) -> None:
    """Write a new file, which is this request's alone."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        file.writelines(parts)
