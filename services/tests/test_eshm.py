"""What anybody may send through a segment."""

from __future__ import annotations

import contextlib
import itertools
import time
from typing import TYPE_CHECKING

import eshm
import pytest
from users_service.wire.eshm_pb2 import Code, Frame
from users_service.wire.items_pb2 import ChatLine, EchoRequest, GetItemRequest, Item, ListItemsRequest
from users_service.wire.users_pb2 import UserList

from programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from programs import Server

_numbers = itertools.count(1)
CAPACITY = 262_144


class Seat:
    """A client's seat, through which any bytes can be sent."""

    def __init__(self, name: str) -> None:
        for number in itertools.count():
            try:
                self.endpoint = eshm.Endpoint(f"{name}.{number}", role="slave", connect_timeout=0)
            except eshm.SeatTakenError:
                continue
            return

    def frames(self, call: int) -> list[Frame]:
        """Return the frames of a call, up to the one that ends it."""
        frames: list[Frame] = []
        while not frames or frames[-1].kind != Frame.END:
            frame = self.receive()
            if frame.call == call:
                frames.append(frame)
        return frames

    def request(self, method: str, message: Message | None = None, deadline_ms: int = 0) -> int:
        """Begin a call; return its number."""
        call = next(_numbers)
        body = b"" if message is None else message.SerializeToString()
        self.frame(Frame(call=call, kind=Frame.REQUEST, method=method, body=body, deadline_ms=deadline_ms))
        return call

    def frame(self, frame: Frame) -> None:
        self.endpoint.send(frame.SerializeToString(), PATIENCE)

    def request_when_there_is_room(self, method: str, message: Message) -> None:
        """Make a call although the server waits for its answers to be taken."""
        frame = Frame(call=next(_numbers), kind=Frame.REQUEST, method=method, body=message.SerializeToString())
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                self.endpoint.send(frame.SerializeToString(), 0.01)
                break
            except eshm.TimeoutError:
                assert time.monotonic() < ends
                while self.endpoint.try_recv() is not None:
                    pass
        assert self.end(frame.call).status.code == Code.OK

    def receive(self) -> Frame:
        return Frame.FromString(self.endpoint.recv(PATIENCE))

    def end(self, call: int) -> Frame:
        """Return the frame that ends a call, after whatever else of it comes."""
        while True:
            frame = self.receive()
            if frame.call == call and frame.kind == Frame.END:
                return frame


@pytest.fixture
def seat(server_language: str, shared: Callable[[str], Server]) -> Iterator[Seat]:
    """A seat; afterwards the server must still serve it."""
    seat = Seat(shared(server_language).addresses["eshm"])
    with seat.endpoint:
        yield seat
        call = seat.request("Items.Get", GetItemRequest(id=3))
        assert Item.FromString(seat.end(call).body) == Item(id=3, name="item 3")


def test_what_is_no_frame_is_answered_if_its_call_can_be_read(seat: Seat) -> None:
    for noise in (b"", b"\x00", b"\xff" * 30, b"\x09\x01", b"x" * 10_000):
        seat.endpoint.send(noise)
    seat.endpoint.send(b"\x09" + (77).to_bytes(8, "little") + b"\xff" * 20)
    frame = seat.receive()
    assert (frame.call, frame.kind, frame.status.code) == (77, Frame.END, Code.INVALID_ARGUMENT)
    assert frame.status.message


def test_a_flood_of_noise_by_a_client_that_does_not_read(seat: Seat) -> None:
    """The answers fill the queue; the server neither gives up nor forgets the seat."""
    noise = b"\x09" + (78).to_bytes(8, "little") + b"\xff" * 20
    with contextlib.suppress(eshm.FullError):
        for _ in range(1_000_000):
            seat.endpoint.try_send(noise)
    seat.request_when_there_is_room("Items.Get", GetItemRequest(id=8))


def test_frames_of_no_call_are_skipped(seat: Seat) -> None:
    for kind in (Frame.MESSAGE, Frame.END, Frame.CANCEL):
        seat.frame(Frame(call=next(_numbers), kind=kind, body=b"x"))
    call = seat.request("Items.Get", GetItemRequest(id=4))
    assert seat.receive() == Frame(call=call, kind=Frame.END, body=Item(id=4, name="item 4").SerializeToString())


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("Users.Create", b"\xff\xff", Code.INVALID_ARGUMENT),
        ("Users.Create", b"", Code.INVALID_ARGUMENT),
        ("Items.Get", b"\x0a\x7f", Code.INVALID_ARGUMENT),
        ("Items.Echo", b"\x0a\x7fabc", Code.INVALID_ARGUMENT),
        ("Items.Echo", EchoRequest(delay_ms=10_001).SerializeToString(), Code.INVALID_ARGUMENT),
        ("Users.Nothing", b"", Code.UNIMPLEMENTED),
        ("", b"", Code.UNIMPLEMENTED),
    ],
)
def test_a_bad_request(method: str, body: bytes, code: int, seat: Seat) -> None:
    before = UserList.FromString(seat.end(seat.request("Users.List")).body)
    call = next(_numbers)
    seat.frame(Frame(call=call, kind=Frame.REQUEST, method=method, body=body))
    frame = seat.receive()
    assert (frame.call, frame.kind, frame.status.code) == (call, Frame.END, code)
    assert frame.status.message
    assert UserList.FromString(seat.end(seat.request("Users.List")).body) == before


def test_fields_may_come_in_any_order(seat: Seat) -> None:
    body = EchoRequest(payload=b"order").SerializeToString()
    frame = (
        Frame(body=body).SerializeToString()
        + Frame(call=99, kind=Frame.REQUEST, method="Items.Echo").SerializeToString()
    )
    seat.endpoint.send(frame)
    assert seat.receive() == Frame(call=99, kind=Frame.END, body=body)
    # The last one of a field counts, and unknown fields are skipped.
    payload = (
        EchoRequest(payload=b"first").SerializeToString()
        + b"\x7a\x03abc"
        + EchoRequest(payload=b"last").SerializeToString()
    )
    call = next(_numbers)
    seat.frame(Frame(call=call, kind=Frame.REQUEST, method="Items.Echo", body=payload))
    assert EchoRequest.FromString(seat.end(call).body).payload == b"last"


def test_a_request_ends_the_call_before_it(seat: Seat) -> None:
    seat.request("Items.List", ListItemsRequest(first=1, count=1_000_000))
    assert seat.receive().kind == Frame.MESSAGE
    call = seat.request("Items.Get", GetItemRequest(id=5))
    assert Item.FromString(seat.end(call).body).id == 5
    # A call whose client streams is one, too, though it waits.
    seat.request("Items.Upload")
    call = seat.request("Items.Get", GetItemRequest(id=6))
    assert Item.FromString(seat.end(call).body).id == 6
    # So is one that the server waits with.
    began = time.monotonic()
    for first in ("given up", "cancelled"):
        waiting = seat.request("Items.Echo", EchoRequest(delay_ms=9000))
        if first == "cancelled":
            seat.frame(Frame(call=waiting, kind=Frame.CANCEL))
        call = seat.request("Items.Get", GetItemRequest(id=7))
        assert Item.FromString(seat.end(call).body).id == 7
    assert time.monotonic() - began < 8


def test_a_call_that_is_cancelled_is_answered_no_more(seat: Seat) -> None:
    listing = seat.request("Items.List", ListItemsRequest(first=1, count=1_000_000))
    assert seat.receive().kind == Frame.MESSAGE
    seat.frame(Frame(call=listing, kind=Frame.CANCEL))
    chat = seat.request("Items.Chat")
    seat.frame(Frame(call=chat, kind=Frame.MESSAGE, body=ChatLine(text="a").SerializeToString()))
    while (frame := seat.receive()).call == listing:
        assert frame.kind == Frame.MESSAGE, "a call that was cancelled has no END"
    assert ChatLine.FromString(frame.body).text == "A"
    seat.frame(Frame(call=chat, kind=Frame.CANCEL))


def test_a_client_that_does_not_read_is_waited_for(seat: Seat) -> None:
    """Replies that fill the queue wait until there is room; nothing of them is lost."""
    call = seat.request("Items.List", ListItemsRequest(first=1, count=30_000))
    seen = 0
    while (frame := seat.receive()).kind == Frame.MESSAGE:
        seen += 1
        assert (frame.call, Item.FromString(frame.body).id) == (call, seen)
    assert (frame.kind, seen) == (Frame.END, 30_000)


def test_a_deadline_runs_at_the_server(seat: Seat) -> None:
    call = seat.request("Items.Echo", EchoRequest(delay_ms=9000), deadline_ms=50)
    assert seat.end(call).status.code == Code.DEADLINE_EXCEEDED
    # Also while the client is silent in the middle of its stream.
    call = seat.request("Items.Upload", deadline_ms=50)
    assert seat.end(call).status.code == Code.DEADLINE_EXCEEDED


def test_a_reply_longer_than_the_queue_comes_in_pieces(
    server_language: str, crowded: Callable[..., Server], crowd_of_users: tuple[Path, list[dict[str, str]]]
) -> None:
    seat = Seat(crowded(server_language).addresses["eshm"])
    with seat.endpoint:
        for _ in range(2):
            frames = seat.frames(seat.request("Users.List"))
            assert len(frames) > 1
            assert [frame.kind for frame in frames] == [Frame.MESSAGE] * (len(frames) - 1) + [Frame.END]
            assert all(len(frame.body) <= CAPACITY // 4 for frame in frames)
            reply = UserList.FromString(b"".join(frame.body for frame in frames))
            assert [user.id for user in reply.users] == [user["id"] for user in crowd_of_users[1]]


def test_a_client_may_leave_a_long_reply(server_language: str, crowded: Callable[..., Server]) -> None:
    seat = Seat(crowded(server_language).addresses["eshm"])
    with seat.endpoint:
        for _ in range(3):
            call = seat.request("Users.List")
            assert seat.receive().kind == Frame.MESSAGE
            seat.frame(Frame(call=call, kind=Frame.CANCEL))
            seat.request_when_there_is_room("Items.Get", GetItemRequest(id=1))


def test_a_reply_longer_than_the_servers_maximum_is_an_error_with_both_sizes(
    server_language: str, crowded: Callable[..., Server]
) -> None:
    most = 100_000
    server = crowded(server_language, "--max-message", str(most), "--eshm-clients", "2")
    seat = Seat(server.addresses["eshm"])
    with seat.endpoint:
        status = seat.end(seat.request("Users.List")).status
        assert status.code == Code.RESOURCE_EXHAUSTED
        assert str(most) in status.message
        assert seat.end(seat.request("Items.Get", GetItemRequest(id=1))).status.code == Code.OK
