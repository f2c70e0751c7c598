"""Many messages at once: the same messages, in the same order."""

from __future__ import annotations

import array
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import eshm
from conftest import PATIENCE, Waiter, expect_line, fill

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from conftest import Spawn

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]

POSE = np.dtype([("number", "<u8"), ("xyz", "<f8", 3)])


def poses(count: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    made = np.zeros(count, POSE)
    made["number"] = np.arange(count)
    made["xyz"] = np.random.default_rng(seed=1).normal(size=(count, 3))
    return made


@pytest.fixture
def small_pair(name: str) -> Iterator[Pair]:
    """A pair on a segment without queues."""
    with eshm.Endpoint(name, role="master", queue_capacity=0) as master:
        with eshm.Endpoint(name, role="slave") as slave:
            yield master, slave


def test_a_list_of_messages_arrives_as_a_list(pair: Pair) -> None:
    master, slave = pair
    messages = [b"", b"one", bytes(56), bytes(57), b"x" * 5000]
    master.send_many(messages)
    received = slave.recv_many(timeout=PATIENCE)
    assert received == messages
    assert all(isinstance(message, eshm.Message) for message in received)
    assert {message.generation for message in received} == {slave.generation}
    assert slave.try_recv() is None
    assert master.stats().wakeups <= 1


def test_any_iterable_of_buffers_can_be_sent(pair: Pair) -> None:
    master, slave = pair
    master.send_many([])
    buffers: list[Buffer] = [bytearray(b"a"), memoryview(b"b"), array.array("B", b"c")]
    master.send_many(iter(buffers))
    master.send_many((b"d", np.frombuffer(b"e", np.uint8)))
    assert slave.recv_many(timeout=PATIENCE) == [b"a", b"b", b"c", b"d", b"e"]


def test_other_threads_send_and_lend_while_a_batch_waits(name: str) -> None:
    long = bytes(2000)
    with eshm.Endpoint(name, role="master", queue_capacity=4096) as master:
        with eshm.Endpoint(name, role="slave") as slave:
            before = fill(master, long)
            batch = Waiter(lambda: master.send_many([b"first", long], PATIENCE))
            deadline = time.monotonic() + PATIENCE
            while master.stats().messages_sent == before:
                assert time.monotonic() < deadline
            # There is room for these, as they are short.
            master.send(b"between", PATIENCE)
            with master.loan(1, PATIENCE):
                with pytest.raises(eshm.InUseError, match="a loan is open") as raised:
                    batch.result()
            assert raised.value.sent == 1
            assert slave.recv_many() == [*[long] * before, b"first", b"between"]


def test_recv_many_returns_at_most_max_messages(pair: Pair) -> None:
    master, slave = pair
    master.send_many([b"%d" % number for number in range(5)])
    assert slave.recv_many(max=0) == []
    assert slave.recv_many(2) == [b"0", b"1"]
    assert slave.recv_many(max=None, timeout=0) == [b"2", b"3", b"4"]
    with pytest.raises(eshm.TimeoutError):
        slave.recv_many(timeout=0.02)
    with pytest.raises(eshm.InvalidError, match="max is -1"):
        slave.recv_many(max=-1)


@pytest.mark.parametrize("wait", list(eshm.Wait))
def test_batches_larger_than_the_queue_arrive(name: str, wait: eshm.Wait) -> None:
    messages = [b"%d" % number * (number % 40) for number in range(20_000)]
    with eshm.Endpoint(name, role="master", wait=wait) as master:
        with eshm.Endpoint(name, role="slave", wait=wait) as slave:
            sending = Waiter(lambda: master.send_many(messages, timeout=PATIENCE))
            received: list[eshm.Message] = []
            while len(received) < len(messages):
                received += slave.recv_many(timeout=PATIENCE)
            sending.result()
            assert received == messages


def test_batches_work_without_a_queue(small_pair: Pair) -> None:
    master, slave = small_pair
    sending = Waiter(lambda: master.send_many([b"a", b"b", b"c"], timeout=PATIENCE))
    assert [slave.recv_many(timeout=PATIENCE) for _ in range(3)] == [[b"a"], [b"b"], [b"c"]]
    sending.result()


def test_a_batch_that_fails_tells_how_many_were_sent(pair: Pair) -> None:
    master, slave = pair
    with pytest.raises(eshm.TooLargeError) as too_large:
        master.send_many([b"a", b"b", bytes(master.max_message + 1), b"d"])
    assert too_large.value.sent == 2
    assert slave.recv_many() == [b"a", b"b"]
    with pytest.raises(TypeError, match="found str"):
        master.send_many([b"a", "b"])  # type: ignore[list-item]
    assert slave.try_recv() is None
    room = fill(master)
    assert len(slave.recv_many()) == room
    with pytest.raises(eshm.TimeoutError) as raised:
        master.send_many([b"x"] * (room + 10), timeout=0.05)
    assert raised.value.sent == room
    assert slave.recv_many() == [b"x"] * room


@pytest.mark.parametrize("verb", ["send_many", "send_records"])
def test_a_timeout_of_0_sends_what_fits(pair: Pair, verb: str) -> None:
    master, slave = pair
    room = fill(master)
    slave.recv_many()
    # More than one chunk of records.
    numbers = np.arange(room + 5, dtype=np.uint64)
    batch = numbers if verb == "send_records" else [number.tobytes() for number in numbers]
    with pytest.raises(eshm.FullError) as raised:
        getattr(master, verb)(batch, timeout=0)
    assert raised.value.sent == room
    assert b"".join(slave.recv_many()) == numbers[:room].tobytes()
    getattr(master, verb)(batch[:3], timeout=0)
    assert len(slave.recv_many()) == 3
    fill(master)
    with pytest.raises(eshm.FullError) as nothing:
        getattr(master, verb)(batch, timeout=0)
    assert nothing.value.sent == 0


def test_without_a_queue_a_timeout_of_0_sends_one(small_pair: Pair) -> None:
    master, slave = small_pair
    with pytest.raises(eshm.FullError) as raised:
        master.send_many([b"a", b"b"], timeout=0)
    assert raised.value.sent == 1
    assert slave.recv_many() == [b"a"]


@pytest.mark.parametrize("verb", ["send_many", "send_records"])
def test_a_batch_has_one_deadline(name: str, spawn: Spawn, verb: str) -> None:
    script = """
    import sys, eshm, numpy
    records, received = numpy.ones(1000, numpy.uint64), 0
    with eshm.Endpoint(sys.argv[1], role="slave") as slave:
        print("ready", flush=True)
        while records.all():
            received += slave.recv_into(records)
    print(received, flush=True)
    """
    with eshm.Endpoint(name, role="master") as master:
        draining = spawn(script, name)
        expect_line(draining, "ready")
        numbers = np.arange(1, 8_000_001, dtype=np.uint64)
        batch = numbers if verb == "send_records" else [b"a record"] * len(numbers)
        # Room keeps coming, but not for all of them within the timeout.
        with pytest.raises(eshm.TimeoutError) as raised:
            getattr(master, verb)(batch, timeout=0.1)
        master.send(bytes(8), PATIENCE)
        expect_line(draining, str(raised.value.sent + 1))


@pytest.mark.parametrize("size", [4096, 65536])
def test_a_queue_as_large_as_the_mailbox_is_a_queue(name: str, size: int) -> None:
    sizes = {"data_size": size, "queue_capacity": size}
    with eshm.Endpoint(name, role="master", **sizes) as master:  # type: ignore[arg-type]
        with eshm.Endpoint(name, role="slave") as slave:
            assert slave.max_message == slave.data_size
            numbers = np.arange(5, dtype=np.uint64)
            master.send_records(numbers)
            assert slave.recv_many(timeout=PATIENCE) == [number.tobytes() for number in numbers]
            master.send_records(numbers)
            records = np.zeros(10, np.uint64)
            assert slave.recv_into(records, timeout=PATIENCE) == 5
            assert np.array_equal(records[:5], numbers)
            master.send(b"no record")
            with pytest.raises(eshm.InvalidError):
                slave.recv_into(records)
            assert slave.recv() == b"no record"


def test_structured_arrays_travel_as_records(pair: Pair) -> None:
    master, slave = pair
    sent = poses(100)
    master.send_records(sent)
    assert slave.recv(PATIENCE) == sent[0].tobytes()
    received = np.zeros(64, POSE)
    assert slave.recv_into(received, timeout=PATIENCE) == 64
    assert np.array_equal(received, sent[1:65])
    assert slave.recv_into(received) == 35
    assert np.array_equal(received[:35], sent[65:])
    assert np.array_equal(received[35:], sent[36:65])


def test_rows_travel_as_records(pair: Pair) -> None:
    master, slave = pair
    sent = np.arange(1000 * 14, dtype=np.float32).reshape(1000, 2, 7)
    received = np.zeros((2000, 14), np.float32)
    master.send_records(sent)
    assert slave.recv_into(received) == 1000
    assert np.array_equal(received[:1000], sent.reshape(1000, 14))


def test_more_records_than_the_queue_holds_arrive(pair: Pair) -> None:
    master, slave = pair
    sent, received = poses(50_000), np.zeros(50_000, POSE)
    sending = Waiter(lambda: master.send_records(sent, timeout=PATIENCE))
    count = 0
    while count < len(sent):
        count += slave.recv_into(received[count:], timeout=PATIENCE)
    sending.result()
    assert np.array_equal(received, sent)


def test_records_that_are_not_sent_are_counted(pair: Pair) -> None:
    master, slave = pair
    room = fill(master)
    slave.recv_many()
    with pytest.raises(eshm.TimeoutError) as raised:
        master.send_records(poses(room + 1), timeout=0.05)
    assert raised.value.sent == room


def test_a_message_of_another_size_stays_the_next_one(pair: Pair) -> None:
    master, slave = pair
    records = np.zeros(10, np.uint64)
    master.send_many([bytes(8), bytes(8), b"no record", bytes(8)])
    assert slave.recv_into(records) == 2
    for _ in range(2):
        with pytest.raises(eshm.InvalidError, match="9 bytes does not fill a record of 8"):
            slave.recv_into(records)
    assert slave.recv() == b"no record"
    assert slave.recv_into(records) == 1


def test_without_a_queue_a_message_of_another_size_stays_the_next_one(small_pair: Pair) -> None:
    master, slave = small_pair
    records = np.zeros(10, np.uint64)
    master.send(b"no record")
    for _ in range(2):
        with pytest.raises(eshm.InvalidError, match="9 bytes does not fill a record of 8"):
            slave.recv_into(records)
    assert slave.recv() == b"no record"
    master.send(b"a record")
    assert slave.recv_into(records) == 1
    assert records[:1].tobytes() == b"a record"


def test_arrays_that_cannot_hold_records_are_refused(pair: Pair) -> None:
    master, slave = pair
    master.send(bytes(8))
    for bad in (bytes(8), np.zeros((2, 2), np.uint64)[:, 0], np.broadcast_to(np.uint64(0), 2)):
        with pytest.raises(BufferError):
            slave.recv_into(bad)
    with pytest.raises(ValueError, match="single value"):
        slave.recv_into(np.zeros((), np.uint64))
    with pytest.raises(TypeError, match="found list"):
        slave.recv_into([0])  # type: ignore[arg-type]
    assert slave.recv_into(np.zeros(0, np.uint64)) == 0
    assert slave.recv_into(np.zeros(1, np.uint64)) == 1
    master.send_records(np.zeros((0, 8)))
    assert slave.try_recv() is None


def test_records_need_no_numpy(pair: Pair) -> None:
    master, slave = pair
    numbers = array.array("d", [1.5, 2.5, 3.5])
    master.send_records(numbers)
    received = array.array("d", bytes(24))
    assert slave.recv_into(received) == 3
    assert received == numbers
