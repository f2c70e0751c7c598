"""The frames that calls through a segment are made of."""

from __future__ import annotations

import struct

from google.protobuf.message import DecodeError

from users_service.errors import CallError, Code, invalid
from users_service.wire.eshm_pb2 import Frame, Status

# Where a frame has its call, if it begins with it: after the field's tag.
_CALL = struct.Struct("<BQ")
_CALL_TAG = 0x09


def parse(data: bytes) -> Frame:
    """Return the frame in a message. INVALID_ARGUMENT when there is none."""
    try:
        return Frame.FromString(data)
    except DecodeError as error:
        raise invalid(f"a message of {len(data)} bytes is no Frame: {error}") from None


def call_number(data: bytes) -> int | None:
    """Return the call of what may be no frame otherwise, if it can be read."""
    if len(data) < _CALL.size:
        return None
    tag, number = _CALL.unpack_from(data)
    return number if tag == _CALL_TAG else None


def request(number: int, method: str, body: bytes, deadline_ms: int) -> bytes:
    """Return the frame that begins a call."""
    return Frame(call=number, kind=Frame.REQUEST, method=method, deadline_ms=deadline_ms, body=body).SerializeToString()


def message(number: int, body: bytes) -> bytes:
    """Return the frame of one message of a stream."""
    return Frame(call=number, kind=Frame.MESSAGE, body=body).SerializeToString()


def end(number: int, body: bytes = b"", error: CallError | None = None) -> bytes:
    """Return the frame that ends a call, or a client's stream."""
    status = None if error is None else Status(code=error.code.name, message=error.message)
    return Frame(call=number, kind=Frame.END, status=status, body=body).SerializeToString()


def cancel(number: int) -> bytes:
    """Return the frame of a client that does not want to know the rest."""
    return Frame(call=number, kind=Frame.CANCEL).SerializeToString()


def status_error(frame: Frame) -> CallError | None:
    """Return the error with which a server ended a call; None: it succeeded."""
    code = Code.of(frame.status.code)
    return None if code is Code.OK else CallError(code, frame.status.message)
