"""The ESHM side of the service goes on, whatever goes wrong. The test is at the other end of its segment."""

from __future__ import annotations

import itertools
import json
import os
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eshm
import pytest
from users_service.responder import HEADER, NO_ROOM, OK, Responder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: A watchdog, in seconds: nothing here takes as long, unless it is broken.
PATIENCE = 30.0

_numbers = itertools.count()


class World:
    """A responder, and the Go API's end of the segment. Two answers of 2.5 KB have no room in it at once."""

    def __init__(self) -> None:
        self.segment = f"users-responder-test-{os.getpid()}-{next(_numbers)}"
        self.master = self.open()
        self.responder = Responder(self.segment, room_timeout=0.05)
        self.responder.start()
        self.master.wait_for_peer(PATIENCE)

    def open(self) -> eshm.Endpoint:
        """Return the master's end, new."""
        return eshm.Endpoint(self.segment, role="master", queue_capacity=4096)

    def ask(self, number: int) -> None:
        """Send a request for one user: 2.5 KB."""
        question = {"request_id": str(number), "count": "1", "records": "10"}
        self.master.send(HEADER.pack(number, 0, 0) + json.dumps(question).encode(), timeout=PATIENCE)

    def answer(self) -> tuple[int, int, Any]:
        """Return the number, the status and the body of the next answer."""
        message = self.master.recv(timeout=PATIENCE)
        number, status, _ = HEADER.unpack_from(message)
        return number, status, json.loads(message[HEADER.size :])

    def expect_service(self, number: int) -> None:
        """Ask, and expect an answer with users."""
        self.ask(number)
        found, status, body = self.answer()
        assert (found, status, len(body["users"])) == (number, OK, 1)

    def spoil(self) -> None:
        """Make the next request one that the protocol forbids: see "Queues" in protocol/PROTOCOL.md."""
        with Path(f"/dev/shm/eshm_{self.segment}").open("r+b", buffering=0) as file:  # noqa: S108
            header = file.read(128)
            (slots,) = struct.unpack_from("<I", header, 84)
            (queue,) = struct.unpack_from("<Q", header, 88)
            file.seek(queue)
            (consumed,) = struct.unpack("<I", file.read(4))
            slot = queue + 384 + 64 * (consumed % slots)
            file.seek(slot + 4)
            file.write(struct.pack("<I", 1000))  # len, of at most 56 bytes in a slot
            file.seek(slot)
            file.write(struct.pack("<I", consumed + 1))  # mark


@pytest.fixture
def world() -> Iterator[World]:
    """A responder with its other end."""
    world = World()
    yield world
    world.responder.stop()
    world.master.close()
    assert not Path(f"/dev/shm/eshm_{world.segment}").exists()  # noqa: S108


def until(what: str, is_so: Callable[[], bool]) -> None:
    """Wait for what nobody signals."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, what
        time.sleep(0.001)


def test_an_answer_without_room_is_told_and_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.ask(1)
    world.ask(2)
    until("the second answer has no room", lambda: "no room for an answer" in caplog.messages)
    assert world.answer()[:2] == (1, OK)
    number, status, body = world.answer()
    assert (number, status) == (2, NO_ROOM)
    assert "no room" in body["error"]
    world.expect_service(3)


def test_a_request_that_cannot_be_answered_at_all_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for number in itertools.count(1):
        world.ask(number)
        if any("the request is dropped" in message for message in caplog.messages):
            break
        assert number < 1000
    statuses = set()
    while (message := world.master.try_recv()) is not None:
        statuses.add(HEADER.unpack_from(message)[1])
    assert statuses == {OK, NO_ROOM}
    until("it takes what it was asked", lambda: world.master.unreceived == 0)
    while world.master.try_recv() is not None:
        pass
    world.expect_service(5000)


def test_a_short_request_is_logged_and_the_next_one_answered(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.master.send(b"short")
    world.expect_service(1)
    assert "a request without a header" in caplog.messages


def test_a_broken_segment_is_logged_and_the_next_one_served(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.spoil()
    until("it says so", lambda: "the segment is lost" in caplog.messages)
    world.master.close()
    world.master = world.open()
    world.expect_service(1)


def test_an_unexpected_fault_is_logged_and_does_not_end_the_thread(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            patch.undo()
            raise ValueError("a fault")

        patch.setattr(Responder, "_send", fail)
        world.ask(1)
        until("it says so", lambda: any("attached to again" in message for message in caplog.messages))
    world.master.wait_for_peer(PATIENCE)
    world.expect_service(2)
