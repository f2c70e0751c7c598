"""One thread waits for many endpoints, and for other descriptors."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import threading
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, Waiter, expect_line
from eshm import Interest, WaitSet

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Spawn

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]


def test_an_endpoint_and_a_socket_have_their_tokens(pair: Pair) -> None:
    master, slave = pair
    left, right = socket.socketpair()
    with left, right, WaitSet() as waits:
        waits.add(slave)
        waits.add(right, token=["any", "object"])
        assert len(waits) == 2
        assert slave.try_recv() is None
        assert waits.wait(0) == []
        left.send(b"x")
        assert waits.wait(PATIENCE) == [["any", "object"]]
        right.recv(1)
        master.send(b"y")
        assert waits.wait() == [slave]
        assert slave.try_recv() == b"y"


def test_the_interest_is_that_of_the_events(pair: Pair) -> None:
    master, slave = pair
    with WaitSet() as waits:
        waits.add(slave.events(Interest.VALUE), "value")
        assert slave.try_read() is None
        master.send(b"message")
        master.write(b"value")
        assert waits.wait(PATIENCE) == ["value"]
        assert slave.try_read() == b"value"
        assert slave.try_read() is None
        assert waits.wait(0) == []
        waits.remove(slave)
        assert len(waits) == 0


def test_what_is_ready_stays_ready_and_takes_turns() -> None:
    with ExitStack() as stack, WaitSet() as waits:
        for number in range(200):
            left, right = map(stack.enter_context, socket.socketpair())
            left.send(b"x")
            waits.add(right, number)
        seen = [token for _ in range(4) for token in waits.wait(0)]
        assert set(seen) == set(range(200))


def test_a_time_out_returns_nothing() -> None:
    with WaitSet() as waits:
        assert waits.wait(0.01) == []
        assert waits.wait(timeout=0) == []


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_invalid_timeouts_are_refused(timeout: float) -> None:
    with WaitSet() as waits, pytest.raises(eshm.InvalidError, match="timeout"):
        waits.wait(timeout)


def test_adding_twice_and_removing_nothing_are_errors(pair: Pair) -> None:
    left, right = socket.socketpair()
    with left, right, WaitSet() as waits:
        for source in (pair[0], left, right.fileno()):
            with pytest.raises(KeyError):
                waits.remove(source)
            waits.add(source)
            with pytest.raises(KeyError):
                waits.add(source)
            waits.remove(source)
        waits.add(pair[0].events())
        with pytest.raises(KeyError):
            waits.add(pair[0])


def test_what_cannot_be_waited_for_is_refused(tmp_path: Path) -> None:
    with WaitSet() as waits:
        file = tmp_path / "file"
        file.touch()
        with file.open() as opened, pytest.raises(PermissionError):
            waits.add(opened)
        with pytest.raises(OSError, match="descriptor"):
            waits.add(1 << 20)
        closed = socket.socket()
        closed.close()
        with pytest.raises(ValueError, match="closed"):
            waits.add(closed)
        with pytest.raises(AttributeError):
            waits.add("no descriptor")  # type: ignore[arg-type]
        assert len(waits) == 0


def test_a_descriptor_closed_by_the_program_is_never_another_files() -> None:
    reader, writer = os.pipe()
    with WaitSet() as waits:
        waits.add(reader, "pipe")
        os.close(reader)
        other_reader, other_writer = os.pipe()
        assert other_reader == reader
        os.write(other_writer, b"x")
        assert waits.wait(0) == []
        waits.remove(reader)
        for number in (other_reader, other_writer, writer):
            os.close(number)


def test_other_threads_add_and_remove_while_one_waits(pair: Pair) -> None:
    master, slave = pair
    left, right = socket.socketpair()
    with left, right, WaitSet() as waits:
        waiter = Waiter(lambda: waits.wait(PATIENCE))
        waits.add(right)
        waits.remove(right)
        left.send(b"removed")
        assert slave.try_recv() is None
        waits.add(slave, "added")
        master.send(b"x")
        assert waiter.result() == ["added"]


def test_waiting_releases_the_interpreter() -> None:
    with WaitSet() as waits:
        waiter = Waiter(lambda: waits.wait(PATIENCE))
        counted = sum(range(1000))
        assert counted
        waits.close()
        with pytest.raises(eshm.ClosedError):
            waiter.result()


def test_a_closed_set_says_so(pair: Pair) -> None:
    waits = WaitSet()
    assert not waits.closed
    waits.close()
    waits.close()
    assert waits.closed
    for call in (waits.wait, waits.fileno, lambda: waits.add(pair[0]), lambda: waits.remove(pair[0])):
        with pytest.raises(eshm.ClosedError):
            call()


def test_sets_can_be_nested(pair: Pair) -> None:
    master, slave = pair
    with WaitSet() as inner, WaitSet() as outer:
        inner.add(slave)
        outer.add(inner, "inner")
        assert slave.try_recv() is None
        assert outer.wait(0) == []
        master.send(b"x")
        assert outer.wait(PATIENCE) == ["inner"]


def test_a_set_that_refers_to_itself_is_collected() -> None:
    reader, writer = os.pipe()
    waits = WaitSet()
    waits.add(reader, waits)
    gone = weakref.ref(waits)
    del waits
    gc.collect()
    assert gone() is None
    os.close(reader)
    os.close(writer)


def test_an_interrupt_ends_a_wait(spawn: Spawn) -> None:
    child = spawn("""
    import signal, eshm
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        print("waits", flush=True)
        eshm.WaitSet().wait()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    """)
    expect_line(child, "waits")
    child.send_signal(signal.SIGINT)
    expect_line(child, "interrupted")


def test_a_forked_child_changes_nothing(spawn: Spawn) -> None:
    child = spawn("""
    import os, eshm
    reader, writer = os.pipe()
    waits = eshm.WaitSet()
    waits.add(reader, "pipe")
    if os.fork() == 0:
        for call in (lambda: waits.remove(reader), waits.wait):
            try:
                call()
            except eshm.ForkedError:
                continue
            os._exit(1)
        waits.close()
        os._exit(0)
    assert os.wait()[1] == 0
    os.write(writer, b"x")
    assert waits.wait(0) == ["pipe"]
    """)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors


def test_a_thousand_idle_endpoints_and_one_that_is_not(name: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = before[1] if before[1] != resource.RLIM_INFINITY else 1 << 16
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, 1 << 16), before[1]))
    threads = threading.active_count()
    try:
        with ExitStack() as stack, WaitSet() as waits:
            idle = [
                stack.enter_context(eshm.Endpoint(f"{name}-{number}", role="master", queue_capacity=4096))
                for number in range(1000)
            ]
            for endpoint in idle:
                waits.add(endpoint)
                assert endpoint.try_recv() is None
            assert waits.wait(0) == []
            assert threading.active_count() == threads
            with eshm.Endpoint(f"{name}-617", role="slave") as slave:
                slave.send(b"here")
                assert waits.wait(PATIENCE) == [idle[617]]
                assert idle[617].try_recv() == b"here"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
