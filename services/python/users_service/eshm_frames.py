"""The frames that calls through a segment are made of.

A frame's body is its last field, so a long one is written straight into the segment, behind what comes before it, and
is not unpacked with the rest when it comes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from google.protobuf.message import DecodeError

from users_service.errors import CallError, Code, invalid
from users_service.wire.eshm_pb2 import Frame, Status
from users_service.wire.items_pb2 import EchoRequest

if TYPE_CHECKING:
    import eshm

    Bytes = bytes | memoryview

#: Up to so many bytes a copy costs less than to avoid it.
_SHORT = 4096
# Where a frame has its call, if it begins with it: after the field's tag.
_CALL = struct.Struct("<BQ")
_CALL_TAG = 0x09
#: The tag of a frame's body, and that of the payload in both messages of an echo: the wire type is "bytes" in both.
_BODY_TAG = 15 << 3 | 2
_PAYLOAD_TAG = 1 << 3 | 2
# Protobuf's wire types, and what marks a byte of a number that is not its last.
_VARINT, _EIGHT_BYTES, _BYTES = 0, 1, 2
_MORE = 0x80


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
    digits = bytearray()
    while value >= _MORE:
        digits.append(value % _MORE + _MORE)
        value //= _MORE
    digits.append(value)
    return bytes(digits)


def call_number(data: bytes) -> int | None:
    """Return the call of what may be no frame otherwise, if it can be read."""
    if len(data) < _CALL.size:
        return None
    tag, number = _CALL.unpack_from(data)
    return number if tag == _CALL_TAG else None


def request(number: int, method: str, body: Bytes, deadline_ms: int) -> Outgoing:
    """Return the frame that begins a call."""
    return _frame(Frame(call=number, kind=Frame.REQUEST, method=method, deadline_ms=deadline_ms), body)


def echo_request(number: int, payload: bytes, delay_ms: int, deadline_ms: int) -> Outgoing:
    """Return the frame that begins the call Items.Echo."""
    frame = Frame(call=number, kind=Frame.REQUEST, method="Items.Echo", deadline_ms=deadline_ms)
    before = EchoRequest(delay_ms=delay_ms).SerializeToString() + bytes([_PAYLOAD_TAG]) + _as_varint(len(payload))
    size = _as_varint(len(before) + len(payload))
    return Outgoing(b"%b%c%b%b" % (frame.SerializeToString(), _BODY_TAG, size, before), payload)


def lone_payload(body: Bytes) -> Bytes | None:
    """Return the payload of an EchoRequest or EchoReply; None if anything is there beside it."""
    try:
        if body[0] != _PAYLOAD_TAG:
            return None
        length, start = _varint(body, 1)
    except IndexError:
        return None
    return body[start:] if start + length == len(body) else None


def message(number: int, body: bytes) -> Outgoing:
    """Return the frame of one message of a stream."""
    return _frame(Frame(call=number, kind=Frame.MESSAGE), body)


def end(number: int, body: Bytes = b"", error: CallError | None = None) -> Outgoing:
    """Return the frame that ends a call, or a client's stream."""
    status = None if error is None else Status(code=error.code.name, message=error.message)
    return _frame(Frame(call=number, kind=Frame.END, status=status), body)


def cancel(number: int) -> Outgoing:
    """Return the frame of a client that does not want to know the rest."""
    return _frame(Frame(call=number, kind=Frame.CANCEL), b"")


def _frame(head: Frame, body: Bytes) -> Outgoing:
    start = head.SerializeToString()
    return Outgoing(b"%b%c%b" % (start, _BODY_TAG, _as_varint(len(body))) if body else start, body)


def status_error(frame: Frame) -> CallError | None:
    """Return the error with which a server ended a call; None: it succeeded."""
    if not frame.HasField("status"):
        return None
    code = Code.of(frame.status.code)
    return None if code is Code.OK else CallError(code, frame.status.message)
