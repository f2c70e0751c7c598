"""The event descriptor of an endpoint."""

from __future__ import annotations

import select
import selectors
import socket
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, fill
from eshm import Interest

if TYPE_CHECKING:
    from conftest import Spawn

    Pair = tuple[eshm.Endpoint, eshm.Endpoint]


def is_readable(source: eshm.Endpoint | eshm.Events, timeout: float = 0) -> bool:
    return bool(select.select([source], [], [], timeout)[0])


def armed(slave: eshm.Endpoint, interest: Interest) -> eshm.Events:
    """Makes the descriptor, and calls what arms it."""
    events = slave.events(interest)
    assert is_readable(events), "a new descriptor is readable"
    events.peer_state()
    assert slave.try_recv() is None
    assert slave.try_read() is None
    assert not is_readable(events)
    return events


def test_a_selector_tells_of_a_message(pair: Pair) -> None:
    master, slave = pair
    with selectors.DefaultSelector() as selector:
        selector.register(slave, selectors.EVENT_READ, "slave")
        assert slave.try_recv() is None
        assert selector.select(0) == []
        master.send(b"one")
        assert [key.data for key, _ in selector.select(PATIENCE)] == ["slave"]
        # Level-triggered: until a call has found nothing.
        assert [key.data for key, _ in selector.select(0)] == ["slave"]
        assert slave.try_recv() == b"one"
        assert slave.try_recv() is None
        assert selector.select(0) == []
        selector.unregister(slave)


def test_fileno_and_events_are_one_descriptor(pair: Pair) -> None:
    _, slave = pair
    events = slave.events(Interest.READABLE | Interest.VALUE)
    assert events.fileno() == slave.fileno() == slave.events().fileno()


def test_a_value_is_an_event_of_its_own(pair: Pair) -> None:
    master, slave = pair
    armed(slave, Interest.VALUE)
    master.send(b"no value")
    master.write(b"value")
    assert is_readable(slave, PATIENCE)
    assert slave.try_read() == b"value"


def test_room_is_an_event_after_a_refusal(pair: Pair) -> None:
    master, slave = pair
    events = master.events(Interest.WRITABLE)
    count = fill(master)
    assert not is_readable(events)
    for _ in range(count):
        slave.recv(0)
    assert is_readable(events, PATIENCE)
    master.try_send(b"room")


def test_a_change_of_the_peer_is_an_event(name: str) -> None:
    with eshm.Endpoint(name, role="master") as master:
        events = master.events(Interest.PEER)
        assert events.peer_state() == eshm.PeerState.ABSENT
        with eshm.Endpoint(name, role="slave"):
            assert is_readable(events, PATIENCE)
            assert events.peer_state() == eshm.PeerState.ALIVE
        assert is_readable(events, PATIENCE)


def test_a_close_by_the_peer_makes_it_readable(name: str) -> None:
    with eshm.Endpoint(name, role="master") as master:
        slave = eshm.Endpoint(name, role="slave")
        events = armed(master, Interest.READABLE)
        slave.close()
        assert is_readable(events, PATIENCE)


def test_a_closed_endpoint_is_readable_and_its_next_call_says_why(name: str) -> None:
    master = eshm.Endpoint(name, role="master")
    events = armed(master, Interest.READABLE)
    master.close()
    assert is_readable(events, PATIENCE)
    # So it can still be unregistered.
    assert master.fileno() == events.fileno()
    with pytest.raises(eshm.ClosedError):
        master.try_recv()
    with pytest.raises(eshm.ClosedError):
        master.events()


def test_a_closed_endpoint_makes_no_descriptor(name: str) -> None:
    master = eshm.Endpoint(name, role="master")
    master.close()
    with pytest.raises(eshm.ClosedError):
        master.fileno()


def test_the_events_do_not_keep_the_endpoint_open(name: str) -> None:
    events = eshm.Endpoint(name, role="master").events()
    assert is_readable(events)
    with eshm.Endpoint(name, role="master", connect_timeout=0.0):
        pass


def test_a_forked_child_is_told_so(name: str, spawn: Spawn) -> None:
    child = spawn(f"""
    import os, select, eshm
    robot = eshm.Endpoint({name!r}, role="master")
    events = robot.events()
    assert robot.try_recv() is None
    assert not select.select([events], [], [], 0)[0]
    if os.fork() == 0:
        assert select.select([events], [], [], 0)[0]
        try:
            robot.try_recv()
        except eshm.ForkedError:
            os._exit(0)
        os._exit(1)
    assert os.wait()[1] == 0
    # The child has rung nothing.
    assert not select.select([events], [], [], 0)[0]
    robot.close()
    """)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors


def test_a_descriptor_that_the_program_closed_is_an_error(name: str, spawn: Spawn) -> None:
    # In a process of its own: the endpoint closes the number once more.
    child = spawn(f"""
    import os, eshm
    robot = eshm.Endpoint({name!r}, role="master")
    events = robot.events()
    number = robot.fileno()
    os.close(number)
    waits = eshm.WaitSet()
    for reused in (False, True):
        if reused:
            assert os.dup2(os.open("/dev/null", os.O_RDONLY), number) == number
        for call in (robot.fileno, events.fileno, robot.events, lambda: waits.add(robot)):
            try:
                call()
            except eshm.AttachError as error:
                assert {name!r} in str(error) and "closed" in str(error), error
            else:
                raise AssertionError(call)
    assert len(waits) == 0
    robot.close()
    """)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors


@pytest.mark.parametrize("interest", [0, 16, 17])
def test_an_interest_that_does_not_exist_is_refused(pair: Pair, interest: int) -> None:
    with pytest.raises(eshm.InvalidError, match="interest"):
        pair[0].events(Interest(interest))


def test_a_process_without_descriptors_works_on(name: str, spawn: Spawn) -> None:
    child = spawn(f"""
    import os, resource, eshm
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with eshm.Endpoint({name!r}, role="master") as master, eshm.Endpoint({name!r}, role="slave") as slave:
        files = []
        try:
            while True:
                files.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        try:
            slave.events()
        except eshm.AttachError as error:
            assert "descriptor" in str(error), error
        else:
            raise AssertionError
        master.send(b"goes on")
        assert slave.recv() == b"goes on"
        os.close(files.pop())
        os.close(files.pop())
        slave.events()
    """)
    _, errors = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, errors


def test_a_socket_and_an_endpoint_share_a_selector(pair: Pair) -> None:
    master, slave = pair
    left, right = socket.socketpair()
    with left, right, selectors.DefaultSelector() as selector:
        selector.register(slave, selectors.EVENT_READ)
        selector.register(right, selectors.EVENT_READ)
        assert slave.try_recv() is None
        left.send(b"x")
        assert [key.fileobj for key, _ in selector.select(PATIENCE)] == [right]
        assert right.recv(1) == b"x"
        master.send(b"y")
        assert [key.fileobj for key, _ in selector.select(PATIENCE)] == [slave]
