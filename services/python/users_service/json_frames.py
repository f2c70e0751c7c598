"""The socket's frames: a length, four bytes, big-endian, and so many bytes of JSON."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, cast

from users_service import json_wire
from users_service.errors import too_large

if TYPE_CHECKING:
    import socket
    from io import BufferedReader

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 16


def pack(value: dict[str, Any], limit: int) -> bytes:
    """Return an object as a frame. RESOURCE_EXHAUSTED when it is longer than `limit` bytes."""
    body = json_wire.dumps(value)
    if len(body) > limit:
        raise too_large(len(body), limit)
    return _LENGTH.pack(len(body)) + body


def read(stream: BufferedReader, limit: int) -> bytes | None:
    """Return the next frame's JSON, or None when the stream ends before its last byte.

    RESOURCE_EXHAUSTED when it is longer than `limit` bytes; it has been read to its end then.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > limit:
        if not _skip(stream, size):
            return None
        raise too_large(size, limit)
    body = stream.read(size)
    return body if len(body) == size else None


def open_stream(peer: socket.socket) -> BufferedReader:
    """Return what `read` reads from."""
    return cast("BufferedReader", peer.makefile("rb", buffering=_CHUNK))


def _skip(stream: BufferedReader, size: int) -> bool:
    while size:
        skipped = len(stream.read(min(size, _CHUNK)))
        if not skipped:
            return False
        size -= skipped
    return True
