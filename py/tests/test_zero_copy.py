"""Messages in place: lent memory is never lost, never shared by mistake, and valid while it has views."""

from __future__ import annotations

import gc
import signal
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

import eshm
from conftest import PATIENCE, Waiter, expect_line, fill, segment_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Spawn

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]


@pytest.fixture(params=[None, 0], ids=["queue", "no queue"])
def any_pair(name: str, request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A pair on a segment with queues, and one on a segment without."""
    with eshm.Endpoint(name, role="master", queue_capacity=request.param) as master:
        with eshm.Endpoint(name, role="slave") as slave:
            yield master, slave


@pytest.mark.parametrize("size", [0, 1, 56, 57, 4096])
def test_a_message_built_in_place_is_read_in_place(any_pair: Pair, size: int) -> None:
    content = bytes(number % 251 for number in range(size))
    for sender, receiver in (any_pair, any_pair[::-1]):
        with sender.loan(size) as loan:
            assert len(loan) == size
            memoryview(loan)[:] = content
            loan.send()
        with receiver.borrow(PATIENCE) as message:
            assert len(message) == size
            assert bytes(message) == content
        assert receiver.try_recv() is None


def test_numpy_works_on_the_memory_itself(name: str) -> None:
    frame = np.arange(3 * 480 * 640, dtype=np.uint8).reshape(480, 640, 3)
    with eshm.Endpoint(name, role="master", queue_capacity=4 << 20) as master:
        with eshm.Endpoint(name, role="slave") as slave:
            with master.loan(frame.nbytes) as loan:
                np.frombuffer(loan, frame.dtype).reshape(frame.shape)[:] = frame
                loan.send()
            with slave.borrow(PATIENCE) as message:
                assert np.array_equal(np.frombuffer(message, frame.dtype).reshape(frame.shape), frame)


def test_a_borrowed_message_is_read_only(pair: Pair) -> None:
    master, slave = pair
    master.send(b"constant")
    with slave.borrow(PATIENCE) as message:
        assert memoryview(message).readonly
        assert not np.frombuffer(message, np.uint8).flags.writeable
        with pytest.raises(BufferError):
            slave.recv_into(message)
        with pytest.raises(TypeError):
            memoryview(message)[0] = 0


def test_an_unsent_loan_is_released(any_pair: Pair) -> None:
    master, slave = any_pair
    master.loan(8)
    with master.loan(8):
        pass
    master.loan(8).release()
    with pytest.raises(KeyError), master.loan(8):
        raise KeyError
    master.send(b"only this")
    assert slave.recv(PATIENCE) == b"only this"
    assert slave.try_recv() is None


def test_nothing_else_is_sent_while_a_loan_is_open(any_pair: Pair) -> None:
    master, slave = any_pair
    loan = master.loan(5)
    memoryview(loan)[:] = b"first"
    for call in (
        lambda: master.send(b"second"),
        lambda: master.try_send(b"second"),
        lambda: master.write(b"second"),
        lambda: master.send_many([b"second"]),
        lambda: master.send_records(b"s"),
        lambda: master.loan(1),
    ):
        with pytest.raises(eshm.InUseError, match="a loan is open") as raised:
            call()
        assert raised.value.code == -1
    loan.send()
    assert slave.recv(PATIENCE) == b"first"
    assert slave.try_recv() is None


def test_a_loan_with_views_is_not_sent(any_pair: Pair) -> None:
    master, slave = any_pair
    loan = master.loan(8)
    array = np.frombuffer(loan, np.uint64)
    for call in (loan.send, loan.release):
        with pytest.raises(BufferError, match="views of the loan"):
            call()
    array[:] = 7
    assert slave.try_recv() is None
    del array
    loan.send()
    assert slave.recv(PATIENCE) == (7).to_bytes(8, "little")


def test_a_sent_or_released_message_is_no_longer_lent(any_pair: Pair) -> None:
    master, slave = any_pair
    loan = master.loan(1)
    loan.send()
    message = slave.borrow(PATIENCE)
    message.release()
    for end in (loan.send, loan.release, message.release):
        with pytest.raises(eshm.InUseError, match="is over"):
            end()
    for lent in (loan, message):
        with pytest.raises(eshm.InUseError, match="is over"):
            memoryview(lent)
    # A second end is no error, and does not end the next loan or borrowed message.
    with loan, message:
        open_loan = master.loan(2)
    loan = open_loan
    loan.send()
    assert len(slave.recv(PATIENCE)) == 2


def test_views_delay_the_end_of_lent_memory(any_pair: Pair) -> None:
    master, slave = any_pair
    with pytest.raises(BufferError, match="views of the loan"), master.loan(4) as loan:
        view = memoryview(loan)
    with pytest.raises(eshm.InUseError, match="views of the loan"):
        master.send(b"next")
    with pytest.raises(eshm.InUseError, match="views of the loan"):
        memoryview(loan)
    view[:] = b"mine"
    del view
    master.send(b"next")
    with pytest.raises(BufferError, match="views of the borrowed message"), slave.borrow() as message:
        view = memoryview(message)
    with pytest.raises(eshm.InUseError):
        slave.try_recv()
    assert bytes(view) == b"next"
    del view
    assert slave.try_recv() is None


def test_an_exception_is_not_replaced_by_an_error_about_views(pair: Pair) -> None:
    master, slave = pair
    loan = master.loan(4)
    view = memoryview(loan)
    with pytest.raises(KeyError), loan:
        raise KeyError
    view.release()
    master.send(b"next")
    assert slave.recv(PATIENCE) == b"next"


def test_a_borrowed_message_keeps_its_memory_until_it_is_released(pair: Pair) -> None:
    master, slave = pair
    fill(master)
    message = slave.borrow()
    with pytest.raises(eshm.FullError):
        master.try_send(b"next")
    message.release()
    master.try_send(b"next")


def test_the_next_call_that_receives_releases_a_borrowed_message(any_pair: Pair) -> None:
    master, slave = any_pair
    calls: list[Callable[[], bytes | None]] = [
        lambda: slave.recv(PATIENCE),
        slave.try_recv,
        lambda: slave.recv_many(timeout=PATIENCE)[0],
        lambda: bytes(slave.borrow(PATIENCE)),
    ]
    for call in calls:
        master.send(b"first")
        first = slave.borrow(PATIENCE)
        view = memoryview(first)
        with pytest.raises(BufferError, match="views of the borrowed message"):
            call()
        assert bytes(view) == b"first"
        del view
        master.send(b"second")
        assert call() == b"second"
        with pytest.raises(eshm.InUseError, match="is over"):
            memoryview(first)


def test_memory_outlives_a_close(any_pair: Pair, name: str) -> None:
    master, slave = any_pair
    slave.send(b"constant")
    loan, message = master.loan(8), master.borrow(PATIENCE)
    written, read = np.frombuffer(loan, np.uint8), np.frombuffer(message, np.uint8)
    master.close()
    with pytest.raises(eshm.ClosedError):
        master.send(b"")
    for lent in (loan, message):
        with pytest.raises(eshm.ClosedError):
            memoryview(lent)
    with pytest.raises(eshm.ClosedError):
        loan.send()
    gc.collect()
    written[:] = 0xA5
    assert bytes(read) == b"constant"
    assert segment_file(name).exists()
    del written
    assert bytes(read) == b"constant"
    del read
    assert not segment_file(name).exists()
    with pytest.raises(eshm.PeerClosedError):
        slave.recv()


def test_close_ends_lent_memory_without_views(any_pair: Pair, name: str) -> None:
    master, slave = any_pair
    slave.send(b"last")
    loan, message = master.loan(8), master.borrow(PATIENCE)
    master.close()
    assert not segment_file(name).exists()
    for lent in (loan, message):
        with pytest.raises(eshm.InUseError, match="is over"):
            memoryview(lent)


def test_lent_memory_keeps_its_endpoint(name: str) -> None:
    loan = eshm.Endpoint(name, role="master").loan(5)
    gc.collect()
    memoryview(loan)[:] = b"alive"
    with eshm.Endpoint(name, role="slave") as slave:
        loan.send()
        assert slave.recv(PATIENCE) == b"alive"
        del loan
        with pytest.raises(eshm.PeerClosedError):
            slave.recv()


def test_a_loan_waits_for_room(pair: Pair) -> None:
    master, slave = pair
    count = fill(master)
    with pytest.raises(eshm.TimeoutError):
        master.loan(4, timeout=0.05)
    waiting = Waiter(lambda: master.loan(4, PATIENCE))
    for _ in range(count):
        assert slave.recv(PATIENCE) == b"in the way"
    loan = waiting.result()
    assert isinstance(loan, eshm.Loan)
    memoryview(loan)[:] = b"next"
    loan.send()
    assert slave.recv(PATIENCE) == b"next"


def test_a_wait_for_room_ends_when_the_peer_closes(pair: Pair) -> None:
    master, slave = pair
    fill(master)
    waiting = Waiter(lambda: master.loan(4))
    slave.close()
    with pytest.raises(eshm.PeerClosedError):
        waiting.result()


def test_a_loan_of_an_impossible_size_is_refused(pair: Pair) -> None:
    master, _ = pair
    with pytest.raises(eshm.TooLargeError, match=f"{master.max_message + 1} bytes"):
        master.loan(master.max_message + 1)
    with pytest.raises(eshm.InvalidError, match="size is -1"):
        master.loan(-1)
    with pytest.raises(TypeError):
        master.loan("8")  # type: ignore[arg-type]
    master.loan(master.max_message).send()


def test_loans_and_messages_cannot_be_created_directly() -> None:
    for kind in (eshm.Loan, eshm.Borrowed, eshm.Message):
        with pytest.raises(TypeError, match=f"cannot create 'eshm.{kind.__name__}' instances"):
            kind()


def test_a_released_message_does_not_wait_for_the_receiving_thread(pair: Pair) -> None:
    master, slave = pair
    master.send(b"first")
    first = slave.borrow()
    started = threading.Event()

    def receive() -> object:
        started.set()
        return slave.recv(PATIENCE)

    waiting = Waiter(receive)
    assert started.wait(PATIENCE)
    while True:  # until that thread has ended the borrow
        try:
            memoryview(first).release()
        except eshm.InUseError:
            break
    del first
    master.send(b"second")
    assert waiting.result() == b"second"


FORKED = """
import os, sys, warnings, eshm
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, since Python 3.12
robot = eshm.Endpoint(sys.argv[1], role="slave")
message, loan = robot.borrow(), robot.loan(4)
view = memoryview(message)
child = os.fork()
if child == 0:
    assert view == b"parent's"
    for call in (loan.send, loan.release, message.release, lambda: memoryview(loan)):
        try:
            call()
        except eshm.ForkedError:
            continue
        sys.exit("used in the child")
    del view, message, loan
    robot.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
memoryview(loan)[:] = bytes(view)[:4]
loan.send()
del view
message.release()
print(robot.recv().text(), flush=True)
robot.close()
"""


def test_a_forked_child_changes_nothing_of_its_parent(name: str, spawn: Spawn) -> None:
    with eshm.Endpoint(name, role="master") as master:
        master.send(b"parent's")
        master.send(eshm.encode_text("next"))
        child = spawn(FORKED, name)
        assert master.recv(PATIENCE) == b"pare"
        expect_line(child, "next")
        assert child.wait(PATIENCE) == 0, child.communicate()[1]


KILLED = """
import sys, eshm
robot = eshm.Endpoint(sys.argv[1], role="slave")
assert robot.recv() == b"received"
borrowed = robot.borrow()
loan = robot.loan(5)
memoryview(loan)[:] = b"never"
print("READY", flush=True)
sys.stdin.read()
"""


def test_a_message_that_a_killed_process_had_borrowed_is_received_again(name: str, spawn: Spawn) -> None:
    with eshm.Endpoint(name, role="master") as master:
        master.send_many([b"received", b"borrowed", b"unread"])
        child = spawn(KILLED, name)
        expect_line(child, "READY")
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE)
        with eshm.Endpoint(name, role="slave") as slave:
            assert slave.recv_many(max=2, timeout=PATIENCE) == [b"borrowed", b"unread"]
            slave.send(b"sent")
            assert master.recv(PATIENCE) == b"sent"
