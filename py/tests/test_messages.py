"""Every byte and every message arrives once."""

from __future__ import annotations

import array
import copy
import inspect
import mmap
import pickle
import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

import eshm
from conftest import PATIENCE, Waiter, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]

SIZES = [0, 1, 21, 27, 4095, 4096]


@pytest.mark.parametrize("size", SIZES)
def test_every_size_that_fits_arrives_by_both_channels(pair: Pair, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    for sender, receiver in (pair, pair[::-1]):
        sender.send(data, timeout=PATIENCE)
        assert receiver.recv(PATIENCE) == data
        sender.write(data)
        assert receiver.read(PATIENCE) == data


def test_a_message_that_is_too_large_is_refused_and_the_one_before_kept(pair: Pair) -> None:
    master, slave = pair
    master.send(b"kept")
    with pytest.raises(eshm.TooLargeError, match="4097 bytes"):
        master.write(b"x" * 4097)
    for verb in (master.send, master.try_send):
        with pytest.raises(eshm.TooLargeError, match=f"{master.max_message + 1} bytes"):
            verb(bytes(master.max_message + 1))
    assert slave.recv(PATIENCE) == b"kept"


def test_the_sizes_are_the_masters_choice(name: str) -> None:
    with eshm.Endpoint(name, role="master", data_size=1 << 20, queue_capacity=1 << 21) as master:
        with eshm.Endpoint(name, role="slave") as slave:
            assert (slave.data_size, slave.max_message) == (1 << 20, 1 << 21)
            master.write(b"\xa5" * (1 << 20))
            assert slave.read(PATIENCE).data == b"\xa5" * (1 << 20)
            master.send(b"\x5a" * (1 << 21))
            assert slave.recv(PATIENCE).data == b"\x5a" * (1 << 21)


def test_messages_arrive_once_and_in_order(pair: Pair) -> None:
    master, slave = pair

    def echo() -> None:
        for _ in range(2000):
            slave.send(slave.recv(PATIENCE), timeout=PATIENCE)

    peer = Waiter(echo)
    for number in range(2000):
        master.send(str(number).encode(), timeout=PATIENCE)
        assert master.recv(PATIENCE) == str(number).encode()
    peer.result()


def test_both_directions_carry_messages_at_once(pair: Pair) -> None:
    numbers = [str(number).encode() for number in range(2000)]

    def send(endpoint: eshm.Endpoint) -> None:
        for number in numbers:
            endpoint.send(number, timeout=PATIENCE)

    def receive(endpoint: eshm.Endpoint) -> list[bytes]:
        return [endpoint.recv(PATIENCE).data for _ in numbers]

    senders = [Waiter(partial(send, end)) for end in pair]
    receivers = [Waiter(partial(receive, end)) for end in pair]
    for sender in senders:
        sender.result()
    for receiver in receivers:
        assert receiver.result() == numbers


def test_a_read_gives_the_latest_value_and_counts_the_others(pair: Pair) -> None:
    master, slave = pair
    for number in range(10):
        master.write(str(number).encode())
    message = slave.read(PATIENCE)
    assert (message.data, message.skipped) == (b"9", 9)
    assert slave.try_read() is None
    assert slave.stats().skipped == 9


def test_a_full_channel_refuses_and_loses_nothing(pair: Pair) -> None:
    master, slave = pair
    count = fill(master, b"accepted")
    started = time.monotonic()
    with pytest.raises(eshm.TimeoutError):
        master.send(b"refused", timeout=0.1)
    assert time.monotonic() - started >= 0.1
    assert [slave.recv(PATIENCE).data for _ in range(count)] == [b"accepted"] * count
    assert slave.try_recv() is None
    master.send(b"next")
    assert slave.recv(PATIENCE) == b"next"


@pytest.mark.parametrize(
    "buffer",
    [
        b"12345678",
        bytearray(b"12345678"),
        memoryview(b"12345678"),
        memoryview(b"0123456789")[1:9],
        array.array("d", [1.5]),
        np.arange(2, dtype=np.float32),
        np.array([[1, 2], [3, 4]], dtype=np.int16),
        np.array([]),
    ],
    ids=lambda buffer: type(buffer).__name__,
)
def test_any_contiguous_buffer_can_be_sent(pair: Pair, buffer: bytes) -> None:
    master, slave = pair
    for verb in (master.send, master.try_send, master.write):
        verb(buffer)
        message = slave.try_read() if verb == master.write else slave.recv(PATIENCE)
        assert message == memoryview(buffer).tobytes()


def test_a_sent_buffer_is_released(pair: Pair) -> None:
    master, slave = pair
    data = bytearray(b"first")
    count = fill(master)
    waiting = Waiter(lambda: master.send(data, timeout=PATIENCE))
    for _ in range(count):
        assert slave.recv(PATIENCE) == b"in the way"
    assert slave.recv(PATIENCE) == b"first"
    waiting.result()
    data.extend(b" and more")  # A bytearray whose memory is still exported raises BufferError.
    with mmap.mmap(-1, 8) as mapping:
        master.write(mapping)


def test_a_message_can_be_sent_on(pair: Pair) -> None:
    master, slave = pair
    master.send(b"ping")
    slave.send(slave.recv(PATIENCE))
    assert master.recv(PATIENCE) == b"ping"


@pytest.mark.parametrize(
    "buffer", [memoryview(b"abcdef")[::2], np.arange(4)[::2], np.ones((2, 3), order="F")]
)
def test_memory_that_is_not_contiguous_is_refused(pair: Pair, buffer: memoryview) -> None:
    with pytest.raises(BufferError, match="contiguous copy"):
        pair[0].send(buffer)


def test_wrong_arguments_raise_type_errors(pair: Pair) -> None:
    master, slave = pair
    master.send(data=b"by name", timeout=None)
    assert slave.recv(timeout=PATIENCE) == b"by name"
    bad: list[tuple[Callable[[], object], str]] = [
        (master.send, "missing 1 required positional argument: 'data'"),  # type: ignore[list-item]
        (lambda: master.send(b"", 1, 2), "takes from 1 to 2 positional arguments but 3 were given"),  # type: ignore[call-arg]
        (lambda: master.send(b"", data=b""), "multiple values for argument 'data'"),  # type: ignore[misc]
        (lambda: master.send(b"", patience=1), "unexpected keyword argument 'patience'"),  # type: ignore[call-arg]
        (lambda: slave.try_recv(1), "takes no arguments"),  # type: ignore[call-arg]
        (lambda: slave.recv("1"), "must be real number"),  # type: ignore[arg-type]
        (lambda: eshm.Endpoint.send(slave.recv, b""), "builtin_function_or_method"),  # type: ignore[arg-type]
    ]
    for call, text in bad:
        with pytest.raises(TypeError, match=text):
            call()
    assert slave.try_recv() is None


def test_objects_without_bytes_are_refused(pair: Pair) -> None:
    with pytest.raises(TypeError, match=r"found str: eshm\.encode_text"):
        pair[0].send("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="found int"):
        pair[0].write(7)  # type: ignore[arg-type]
    assert pair[1].try_recv() is None


def test_a_message_is_like_bytes(pair: Pair) -> None:
    master, slave = pair
    master.send(b"pose\0")
    message = slave.recv(PATIENCE)
    assert bytes(message) == message.data == b"pose\0"
    assert message == b"pose\0"
    assert b"pose\0" == message  # noqa: SIM300 - the other operand's turn
    assert message == bytearray(b"pose\0")  # type: ignore[comparison-overlap]
    assert message != b"pose"
    assert message != "pose\0"  # type: ignore[comparison-overlap]
    assert isinstance(message, bytes)
    assert {b"pose\0": 1}[message] == 1
    assert memoryview(message).tobytes() == message
    assert type(message.data) is bytes
    for copied in (copy.copy(message), pickle.loads(pickle.dumps(message)), bytes(message)):
        assert type(copied) is bytes
        assert copied == message
    assert hash(message) == hash(b"pose\0")
    assert len(message) == 5
    assert (message[0], message[-1], message[:4]) == (ord("p"), 0, b"pose")
    assert message.text() == "pose"
    assert repr(message) == f"Message(b'pose\\x00', skipped=0, generation={message.generation})"
    assert message.generation == slave.generation


@pytest.mark.parametrize("text", ["", "Hello from master #0", "größer 🤖"])
def test_text_travels_with_a_nul(pair: Pair, text: str) -> None:
    master, slave = pair
    assert eshm.encode_text(text) == text.encode() + b"\0"
    master.send(eshm.encode_text(text))
    message = slave.recv(PATIENCE)
    assert message.text() == eshm.decode_text(message) == eshm.decode_text(message.data) == text


def test_text_that_would_change_on_its_way_is_refused() -> None:
    with pytest.raises(eshm.InvalidError, match="contains a NUL at byte 1"):
        eshm.encode_text("a\0b")
    with pytest.raises(eshm.InvalidError, match="contains a NUL at byte 1"):
        eshm.decode_text(b"a\0b\0")
    with pytest.raises(eshm.InvalidError, match="is not UTF-8 at byte 2"):
        eshm.decode_text(bytearray(b"ok\xff\0"))


def test_messages_are_counted(pair: Pair) -> None:
    master, slave = pair
    for _ in range(5):
        master.send(bytes(100))
    assert len(slave.recv()) == 100
    sent = master.stats()
    assert (sent.messages_sent, sent.bytes_sent, sent.unreceived) == (5, 500, 4)
    assert (sent.m2s_queue_depth, sent.s2m_queue_depth, sent.s2m_queue_high_water) == (4, 0, 0)
    assert sent.m2s_queue_high_water >= 4
    assert (sent.room_waits, sent.room_wait_time, sent.stalls) == (0, 0.0, 0)
    received = slave.stats()
    assert (received.messages_received, received.bytes_received, received.messages_sent) == (1, 100, 0)
    fill(master)
    with pytest.raises(eshm.TimeoutError):
        master.send(b"", timeout=0.003)
    full = master.stats()
    assert full.room_waits == 1
    assert 0.002 <= full.room_wait_time < PATIENCE


def test_send_and_recv_take_their_arguments_in_every_form(pair: Pair) -> None:
    # Two functions serve each: one for most calls, and PyO3's for the rest.
    master, slave = pair
    timeout = {"".join(["time", "out"]): 1.0}
    master.send(b"1")
    master.send(b"2", 1.0)
    master.send(b"3", timeout=1.0)
    master.send(data=b"4")
    master.send(timeout=1, data=b"5")
    master.send(b"6", **timeout)
    master.send(b"7", None)
    eshm.Endpoint.send(master, b"8", timeout=None)
    received = [slave.recv(), slave.recv(1.0), slave.recv(timeout=1), slave.recv(**timeout)]
    received += [slave.recv(None), slave.recv(timeout=None), eshm.Endpoint.recv(slave), slave.recv(10**9)]
    assert received == [b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8"]


@pytest.mark.parametrize(
    ("arguments", "named", "text"),
    [
        ((), {}, "missing 1 required positional argument: 'data'"),
        ((b"x", 1.0, 2.0), {}, "takes from 1 to 2 positional arguments but 3 were given"),
        ((b"x",), {"timeouts": 1.0}, "unexpected keyword argument 'timeouts'"),
        ((b"x",), {"data": b"y"}, "multiple values for argument 'data'"),
        ((b"x", 1.0), {"timeout": 1.0}, "multiple values for argument 'timeout'"),
        ((b"x",), {"timeout": "soon"}, "must be real number, not str"),
        (("text",), {}, "expected bytes, found str"),
    ],
)
def test_send_refuses_other_arguments(
    pair: Pair, arguments: tuple[object, ...], named: dict[str, object], text: str
) -> None:
    with pytest.raises(TypeError, match=text):
        pair[0].send(*arguments, **named)  # type: ignore[arg-type]
    assert pair[1].try_recv() is None


def test_send_and_recv_are_methods_of_the_class() -> None:
    assert str(inspect.signature(eshm.Endpoint.send)) == "(self, /, data, timeout=None)"
    assert str(inspect.signature(eshm.Endpoint.recv)) == "(self, /, timeout=None)"
    assert eshm.Endpoint.recv.__doc__ is not None
    assert eshm.Endpoint.recv.__doc__.startswith("Returns a copy of the next message")
    assert eshm.Endpoint.send.__qualname__ == "Endpoint.send"
    with pytest.raises(TypeError, match="doesn't apply to"):
        eshm.Endpoint.recv(object())  # type: ignore[arg-type]
