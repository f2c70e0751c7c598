"""The Python side writes and reads long frames by hand: they are what protobuf makes of them."""

from __future__ import annotations

import pytest
from users_service import eshm_frames
from users_service.bench import bucket
from users_service.errors import CallError, Code
from users_service.wire.eshm_pb2 import Frame, Status

#: Around the borders at which lengths take one byte more, and long frames are read another way.
SIZES = (0, 1, 100, 127, 128, 4000, 4096, 16_383, 16_384, 2_097_151, 2_097_152)
CALL = 0xFEDC_BA98_7654_3210


@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_of_protobuf(size: int) -> None:
    body = b"\x7a" * size
    for made, expected in (
        (eshm_frames.request(CALL, "Users.Create", body, 70_000),
         Frame(call=CALL, kind=Frame.REQUEST, method="Users.Create", deadline_ms=70_000, body=body)),
        (eshm_frames.message(CALL, body), Frame(call=CALL, kind=Frame.MESSAGE, body=body)),
        (eshm_frames.request(CALL, "Items.Get", body, 0),
         Frame(call=CALL, kind=Frame.REQUEST, method="Items.Get", body=body)),
        (eshm_frames.end(CALL, memoryview(body)), Frame(call=CALL, kind=Frame.END, body=body)),
    ):  # fmt: skip
        data = made.head + made.tail
        assert len(made) == len(data)
        assert data == expected.SerializeToString()
        frame, found = eshm_frames.parse(data)
        assert found == body
        frame.body = body
        assert frame == expected


def test_frames_without_a_body_are_those_of_protobuf() -> None:
    error = CallError(Code.NOT_FOUND, "there is no user 'ß'")
    status = Status(code="NOT_FOUND", message=error.message)
    assert eshm_frames.end(CALL, b"", error).head == Frame(call=CALL, kind=Frame.END, status=status).SerializeToString()
    assert eshm_frames.cancel(CALL) == Frame(call=CALL, kind=Frame.CANCEL).SerializeToString()


def test_long_frames_in_any_order_are_read() -> None:
    body = b"x" * 10_000
    behind = Frame(body=body).SerializeToString() + Frame(call=CALL, kind=Frame.END).SerializeToString()
    twice = Frame(call=CALL, body=b"first").SerializeToString() + Frame(kind=Frame.END, body=body).SerializeToString()
    unknown = b"\xf5\x01abcd" + Frame(call=CALL, kind=Frame.END, body=body).SerializeToString()
    for data in (behind, twice, unknown):
        frame, found = eshm_frames.parse(data)
        assert (frame.call, frame.kind, found) == (CALL, Frame.END, body)


@pytest.mark.parametrize(
    "start", [b"\x7a", b"\x7a\xff", b"\x7a\xff\xff\xff\xff\x7f", b"\x09", b"\x1a\xff\xff\x7f", b"\x0b", b""]
)
def test_long_noise_is_no_frame(start: bytes) -> None:
    with pytest.raises(CallError) as caught:
        eshm_frames.parse(start + b"\xff" * 10_000)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_buckets_keep_three_figures() -> None:
    for value in (0, 1, 999, 2047, 2048, 123_456, 10**9, 2**40 + 12_345):
        found = bucket(value)
        assert value <= found <= value * 1.001
        assert bucket(found) == found
