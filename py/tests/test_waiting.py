"""Waiting: time limits, threads, signals, and what ends a wait."""

from __future__ import annotations

import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, Waiter, expect_line, fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Spawn

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]


def waits(endpoint: eshm.Endpoint) -> list[Callable[[float | None], object]]:
    return [endpoint.recv, endpoint.read]


def test_a_timeout_is_waited_for_and_raised(pair: Pair) -> None:
    for wait in waits(pair[1]):
        started = time.monotonic()
        with pytest.raises(eshm.TimeoutError):
            wait(0.1)
        assert time.monotonic() - started >= 0.1
    assert pair[1].stats().timeouts == 2


def test_a_timeout_of_zero_takes_what_is_there(pair: Pair) -> None:
    master, slave = pair
    with pytest.raises(eshm.TimeoutError):
        slave.recv(0)
    master.send(b"there")
    assert slave.recv(0) == b"there"


def test_what_finds_nothing_or_no_room_keeps_no_memory(pair: Pair) -> None:
    _, slave = pair
    fill(slave)

    def fail() -> None:
        for wait in waits(slave):
            with suppress(eshm.TimeoutError):
                wait(0)
        with suppress(eshm.FullError):
            slave.try_send(b"x")
        with suppress(eshm.TimeoutError):
            slave.send(b"x", timeout=0)
        slave.stats()

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    for _ in range(1_000):
        fail()
    blocks, size = sys.getallocatedblocks(), resident()
    for _ in range(20_000):
        fail()
    # One block, or 64 bytes, that each of them keeps would be more.
    assert sys.getallocatedblocks() - blocks < 10_000
    assert resident() - size < 1 << 20


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_invalid_timeouts_are_refused(pair: Pair, timeout: float) -> None:
    master, slave = pair
    calls: list[Callable[[float], object]] = [*waits(slave), slave.wait_for_peer, partial(master.send, b"")]
    for wait in calls:
        with pytest.raises(eshm.InvalidError, match="timeout is"):
            wait(timeout)
    assert slave.try_recv() is None


def test_the_interpreter_is_released_while_waiting(pair: Pair) -> None:
    master, slave = pair
    # Each thread needs the other one to run while it waits.
    received = Waiter(lambda: slave.recv(PATIENCE))
    master.send(b"now")
    assert received.result() == b"now"
    count = fill(master)
    sent = Waiter(lambda: master.send(b"next", PATIENCE))
    for _ in range(count):
        assert slave.recv(PATIENCE) == b"in the way"
    assert slave.recv(PATIENCE) == b"next"
    sent.result()


@pytest.mark.parametrize("wait", list(eshm.Wait))
def test_every_wait_strategy_delivers(name: str, wait: eshm.Wait) -> None:
    numbers = [b"%d" % number for number in range(2000)]
    with eshm.Endpoint(name, role="master", wait=wait) as master:
        with eshm.Endpoint(name, role="slave", wait=wait) as slave:

            def echo() -> None:
                for _ in numbers:
                    slave.send(slave.recv(PATIENCE), timeout=PATIENCE)

            peer = Waiter(echo)
            sender = Waiter(lambda: master.send_many(numbers, timeout=PATIENCE))
            assert [master.recv(PATIENCE) for _ in numbers] == numbers
            sender.result()
            peer.result()
            with pytest.raises(eshm.TimeoutError):
                slave.recv(0.01)


def test_a_spinning_thread_releases_the_interpreter(name: str) -> None:
    with eshm.Endpoint(name, role="master", wait="spin") as master:
        with eshm.Endpoint(name, role="slave", wait="spin") as slave:
            fill(master)
            spinning = [Waiter(master.recv), Waiter(lambda: master.send(b"last"))]
            # Two other threads take turns, and wait for the interpreter each time. If a spinning thread
            # held it for a whole slice (20 ms), they would take minutes.
            here, there = threading.Semaphore(0), threading.Semaphore(0)
            turns = 5000

            def answer() -> None:
                for _ in range(turns):
                    here.acquire()
                    there.release()

            other = Waiter(answer)
            for _ in range(turns):
                here.release()
                assert there.acquire(timeout=PATIENCE)
            other.result()
            assert not any(spinner.is_over() for spinner in spinning)
            slave.recv()
            slave.send(b"end")
            for spinner in spinning:
                spinner.result()


def test_receiving_threads_take_turns(pair: Pair) -> None:
    master, slave = pair
    waiting = Waiter(slave.recv)
    with pytest.raises(eshm.TimeoutError):
        slave.read(0.001)
    assert slave.try_recv() is None
    master.send(b"end")
    assert waiting.result() == b"end"


def test_properties_are_available_during_a_wait(pair: Pair) -> None:
    master, slave = pair
    count = fill(master)
    waiting = [Waiter(master.recv), Waiter(lambda: master.send(b"next"))]
    assert master.peer_state is eshm.PeerState.ALIVE
    assert master.stats().slave_alive
    received = [slave.recv(PATIENCE).data for _ in range(count + 1)]
    assert received == [b"in the way"] * count + [b"next"]
    slave.send(b"end")
    for waiter in waiting:
        waiter.result()


def test_close_ends_every_wait(pair: Pair) -> None:
    master, _ = pair
    fill(master)
    calls = (master.recv, master.read, lambda: master.send(b"next"))
    waiting = [Waiter(call) for call in calls]
    master.close()
    for waiter in waiting:
        with pytest.raises(eshm.ClosedError):
            waiter.result()


def test_a_wait_ends_when_the_peer_closes_and_everything_is_read(pair: Pair) -> None:
    master, slave = pair
    master.send(b"last")
    master.close()
    assert list(slave) == [b"last"]
    for wait in waits(slave):
        with pytest.raises(eshm.PeerClosedError):
            wait(None)


def test_iteration_gives_every_message(pair: Pair) -> None:
    master, slave = pair

    def send() -> None:
        for number in range(100):
            master.send(b"%d" % number, timeout=PATIENCE)
        master.close()

    sender = Waiter(send)
    assert list(slave) == [b"%d" % number for number in range(100)]
    sender.result()


def test_wait_for_peer_waits_for_one(name: str) -> None:
    with eshm.Endpoint(name, role="master") as master:
        assert master.peer_state == "absent"
        started = time.monotonic()
        with pytest.raises(eshm.TimeoutError, match="arrival of the peer"):
            master.wait_for_peer(0.05)
        assert time.monotonic() - started >= 0.05
        waiting = Waiter(master.wait_for_peer)
        with eshm.Endpoint(name, role="slave"):
            waiting.result()
            assert master.peer_state == "alive"


def test_a_slave_waits_for_its_master(name: str) -> None:
    opening = Waiter(lambda: eshm.Endpoint(name, role="slave", connect_timeout=PATIENCE))
    with eshm.Endpoint(name, role="master") as master:
        slave = opening.result()
        assert isinstance(slave, eshm.Endpoint)
        slave.send(b"here")
        assert master.recv(PATIENCE) == b"here"
        slave.close()


INTERRUPTED = """
import signal, sys, eshm
# A process that a shell starts in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
name, wait = sys.argv[1:]
robot = None if wait == "open" else eshm.Endpoint(name, role="slave")
try:
    while wait in ("send", "loan", "send_many"):
        robot.try_send(b"in the way")
except eshm.FullError:
    pass
calls = {
    "open": lambda: eshm.Endpoint(name + "-none", role="slave", connect_timeout=60),
    "recv": lambda: robot.recv(),
    "read": lambda: robot.read(60),
    "send": lambda: robot.send(b"next"),
    "loan": lambda: robot.loan(8),
    "borrow": lambda: robot.borrow(),
    "recv_many": lambda: robot.recv_many(),
    "send_many": lambda: robot.send_many([b"next"]),
    "wait_for_peer": lambda: eshm.Endpoint(name + "-lonely", role="master").wait_for_peer(),
    "iteration": lambda: next(robot),
}
print("READY", flush=True)
try:
    calls[wait]()
except KeyboardInterrupt:
    print("INTERRUPTED", flush=True)
"""


def sleeps(pid: int) -> bool:
    """Whether a process's main thread is waiting in the kernel."""
    stat = Path(f"/proc/{pid}/task/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


@pytest.mark.parametrize(
    "wait",
    [
        "open",
        "recv",
        "read",
        "send",
        "loan",
        "borrow",
        "recv_many",
        "send_many",
        "wait_for_peer",
        "iteration",
    ],
)
def test_ctrl_c_ends_every_wait(name: str, spawn: Spawn, wait: str) -> None:
    with eshm.Endpoint(name, role="master"):
        child = spawn(INTERRUPTED, name, wait)
        expect_line(child, "READY")
        deadline = time.monotonic() + PATIENCE
        while not sleeps(child.pid):
            assert time.monotonic() < deadline
        child.send_signal(signal.SIGINT)
        output, error = child.communicate(timeout=PATIENCE)
        assert (output, error, child.returncode) == ("INTERRUPTED\n", "", 0)


def test_a_signal_handler_may_use_the_endpoint_that_waits(pair: Pair) -> None:
    master, slave = pair
    seen: list[object] = []

    def handler(_number: int, _frame: object) -> None:
        seen.append(slave.try_recv())
        master.send(b"from the handler")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        assert slave.recv(PATIENCE) == b"from the handler"
    finally:
        signal.signal(signal.SIGALRM, before)
    assert seen == [None]


def test_many_threads_may_share_an_endpoint(pair: Pair) -> None:
    master, slave = pair
    received: list[bytes] = []
    lock = threading.Lock()

    def receive() -> None:
        for _ in range(100):
            message = slave.recv(PATIENCE)
            with lock:
                received.append(message.data)

    def send(start: int) -> None:
        for number in range(start, start + 100):
            master.send(b"%d" % number, timeout=PATIENCE)

    threads = [Waiter(receive) for _ in range(3)]
    threads += [Waiter(partial(send, start)) for start in (0, 100, 200)]
    for thread in threads:
        thread.result()
    assert sorted(map(int, received)) == list(range(300))


def test_the_search_for_a_master_goes_on_after_the_reconnect_limits(name: str) -> None:
    first = eshm.Endpoint(name, role="master")
    with eshm.Endpoint(name, role="slave", reconnect_timeout=0.03, reconnect_interval=0.005) as slave:
        first.close()
        with pytest.raises(eshm.PeerClosedError):
            slave.recv()
        with pytest.raises(eshm.TimeoutError):
            slave.recv(0.12)
        with eshm.Endpoint(name, role="master") as second:
            second.wait_for_peer(PATIENCE)
            second.send(b"late")
            assert slave.recv(PATIENCE) == b"late"


def test_give_up_ends_the_search_for_a_master(name: str) -> None:
    first = eshm.Endpoint(name, role="master")
    with eshm.Endpoint(name, role="slave", reconnect_timeout=0.03, give_up=True) as slave:
        first.close()
        with pytest.raises(eshm.PeerClosedError):
            slave.recv(PATIENCE)
