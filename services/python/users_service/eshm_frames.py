"""The frames that calls through a segment are made of.

A frame's body is its last field, so a long one is written straight into the segment, behind what comes before it, and
is not unpacked with the rest when it comes.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from users_service.errors import CallError, Code, invalid
from users_service.wire.eshm_pb2 import Frame, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    import eshm

    Bytes = bytes | memoryview

#: What a frame has beside its body, in bytes, at most: its call, its kind, and the length of the body.
_HEAD_LENGTH = 32
#: Up to so many bytes a copy costs less than to avoid it.
_SHORT = 4096
# Where a frame has its call, if it begins with it: after the field's tag.
_CALL = struct.Struct("<BQ")
_CALL_TAG = 0x09
# What every frame begins with: its call and its kind, as protobuf writes them.
_HEAD = struct.Struct("<BQBB")
_KIND_TAG = 0x10
#: The tag of a frame's body: its wire type is "bytes".
_BODY_TAG = 15 << 3 | 2
# Protobuf's wire types, and what marks a byte of a number that is not its last.
_VARINT, _EIGHT_BYTES, _BYTES = 0, 1, 2
_MORE = 0x80
_ONE_BYTE = [bytes([byte]) for byte in range(_MORE)]
_ONE_BYTE_AND_MORE = [bytes([byte | _MORE]) for byte in range(_MORE)]


class Incoming(NamedTuple):
    """A frame that came: what precedes its body, and the body."""

    frame: Frame
    body: Bytes


class Outgoing(NamedTuple):
    """A frame to be sent, in two pieces, so that the second need not be copied to join them."""

    head: bytes
    tail: Bytes

    def __len__(self) -> int:
        """Return the number of bytes."""
        return len(self.head) + len(self.tail)


def put(endpoint: eshm.Endpoint, frame: Outgoing, timeout: float) -> None:
    """Send a frame. Raises what `send` does."""
    if len(frame) <= _SHORT:
        endpoint.send(frame.head + frame.tail, timeout)
        return
    with endpoint.loan(len(frame), timeout) as loan:
        with memoryview(loan) as room:
            room[: len(frame.head)] = frame.head
            room[len(frame.head) :] = frame.tail
        loan.send()


async def put_async(endpoint: eshm.AsyncEndpoint, frame: Outgoing) -> None:
    """As `put`, without a limit."""
    if len(frame) <= _SHORT:
        await endpoint.send(frame.head + frame.tail)
        return
    with await endpoint.loan(len(frame)) as loan:
        with memoryview(loan) as room:
            room[: len(frame.head)] = frame.head
            room[len(frame.head) :] = frame.tail
        loan.send()


def parse(data: bytes) -> Incoming:
    """Return the frame in a message. INVALID_ARGUMENT when there is none."""
    try:
        if len(data) > _SHORT and (places := _body_places(data)):
            tag, start = places
            return Incoming(Frame.FromString(data[:tag]), memoryview(data)[start:])
        frame = Frame.FromString(data)
    except DecodeError as error:
        raise invalid(f"a message of {len(data)} bytes is no Frame: {error}") from None
    return Incoming(frame, frame.body)


def _body_places(data: bytes) -> tuple[int, int] | None:
    """Return where the field "body" begins, and where the body itself; None unless it is the last field."""
    position = 0
    try:
        while (tag := data[position]) != _BODY_TAG:
            if tag & 7 == _VARINT:
                position = _varint(data, position + 1)[1]
            elif tag & 7 == _EIGHT_BYTES:
                position += 9
            elif tag & 7 == _BYTES:
                length, start = _varint(data, position + 1)
                position = start + length
            else:
                return None
        length, start = _varint(data, position + 1)
    except IndexError:
        return None
    return (position, start) if start + length == len(data) else None


def _varint(data: Bytes, position: int) -> tuple[int, int]:
    """Return a number and the position after it. IndexError where the data end before it does."""
    value = shift = 0
    while (byte := data[position]) >= _MORE:
        value |= (byte - _MORE) << shift
        shift += 7
        position += 1
    return value | byte << shift, position + 1


def _as_varint(value: int) -> bytes:
    if value < _MORE:
        return _ONE_BYTE[value]
    return _ONE_BYTE_AND_MORE[value % _MORE] + _as_varint(value // _MORE)


def call_number(data: bytes) -> int | None:
    """Return the call of what may be no frame otherwise, if it can be read."""
    if len(data) < _CALL.size:
        return None
    tag, number = _CALL.unpack_from(data)
    return number if tag == _CALL_TAG else None


def request(number: int, method: str, body: Bytes, deadline_ms: int) -> Outgoing:
    """Return the frame that begins a call."""
    return _frame(_request_head(number, method, deadline_ms), body)


def _request_head(number: int, method: str, deadline_ms: int) -> bytes:
    deadline = b"\x20" + _as_varint(deadline_ms) if deadline_ms else b""
    return _HEAD.pack(_CALL_TAG, number, _KIND_TAG, Frame.REQUEST) + _method_field(method) + deadline


@cache
def _method_field(name: str) -> bytes:
    return Frame(method=name).SerializeToString()


def message(number: int, body: Bytes) -> Outgoing:
    """Return the frame of one message of a stream, or of a piece of a reply."""
    return _frame(_HEAD.pack(_CALL_TAG, number, _KIND_TAG, Frame.MESSAGE), body)


def end(number: int, body: Bytes = b"", error: CallError | None = None) -> Outgoing:
    """Return the frame that ends a call, or a client's stream."""
    head = _HEAD.pack(_CALL_TAG, number, _KIND_TAG, Frame.END)
    if error is not None:
        head += Frame(status=Status(code=error.code.name, message=error.message)).SerializeToString()
    return _frame(head, body)


def reply(number: int, body: bytes, max_message: int) -> Iterator[Outgoing]:
    """Return the frames that end a call well: one, or more if the queue is too small for that."""
    whole = end(number, body)
    length = max_message // 4 - _HEAD_LENGTH
    if len(whole) <= max_message or length <= 0:
        yield whole
        return
    last = (len(body) - 1) // length * length
    view = memoryview(body)
    for start in range(0, last, length):
        yield message(number, view[start : start + length])
    yield end(number, view[last:])


def cancel(number: int) -> bytes:
    """Return the frame of a client that does not want to know the rest."""
    return _HEAD.pack(_CALL_TAG, number, _KIND_TAG, Frame.CANCEL)


def _frame(head: bytes, body: Bytes) -> Outgoing:
    return Outgoing(head + _ONE_BYTE[_BODY_TAG] + _as_varint(len(body)) if body else head, body)


def status_error(frame: Frame) -> CallError | None:
    """Return the error with which a server ended a call; None: it succeeded."""
    if not frame.HasField("status"):
        return None
    code = Code.of(frame.status.code)
    return None if code is Code.OK else CallError(code, frame.status.message)
