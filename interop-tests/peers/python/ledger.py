"""The scenario `ledger`: numbered traffic in both directions by processes that may be killed.

Each knows from its journal what its predecessors have done.
"""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING, Callable

import eshm
from journal import (
    AGAIN,
    DOUBTFUL,
    DUPLICATE,
    INTENDED,
    LIVES,
    MISSING,
    RECEIVED,
    RELEASED,
    SENT,
    VALUE,
    Journal,
)
from observe import observe, ready
from payload import check, payload

if TYPE_CHECKING:
    import argparse

#: How long a turn waits for a message if it has sent one, so that a reply is due, and if it has not.
REPLY_TURN = 0.1
TURN = 0.001
#: The greatest number of messages that one turn receives.
MOST = 8
#: The greatest length of a message or value by its number: most fit into a slot, some are long.
LONGEST = (56, 200, 56, 3000)


def run(args: argparse.Namespace) -> None:
    """Stream until told to stop; then go on, or leave."""
    if args.journal is None:
        raise ValueError("ledger needs --journal")
    journal = Journal(args.journal)
    begin_life(journal)
    observe("opening")
    with args.endpoint(
        args.name, role=eshm.Role(args.role), queue_capacity=args.queue, connect_timeout=args.timeout
    ) as endpoint:
        ready()
        ledger = Ledger(endpoint, journal)
        while ledger.stream():
            ledger.peer_has_ended = False


def begin_life(journal: Journal) -> None:
    """Mark as doubtful what a killed predecessor had begun to send and not acknowledged."""
    if journal[INTENDED] > journal[SENT]:
        journal.record(DOUBTFUL, journal[SENT] + 1, journal[INTENDED])
        journal[SENT] = journal[INTENDED]
    journal[LIVES] += 1


class Ledger:
    """The state of one process."""

    def __init__(self, endpoint: eshm.Endpoint, journal: Journal) -> None:
        self.endpoint = endpoint
        self.journal = journal
        #: The greatest number received by this process. Initially the last one that was released.
        self.last = journal[RELEASED]
        #: The process number of the peer, from its last message.
        self.peer_life = 0
        self.peer_state: eshm.PeerState | None = None
        self.peer_has_ended = False
        #: The last value read.
        self.value = 0
        self.turn = 0

    def stream(self) -> bool:
        """Take turns until both sides have said that they stop; return whether to go on after that."""
        stopping = end_sent = False
        while not (end_sent and self.peer_has_ended):
            self.say_peer_state()
            self.write_value()
            stopping = stopping or has_order()
            sent = 0
            if not stopping:
                sent = self.send()
            elif not end_sent:
                end_sent = self.attempt(lambda: self.endpoint.try_send(b"")) == 1
            # Only every second turn, so that the peer may wait for a value meanwhile.
            reply_is_due = sent and not self.peer_has_ended and self.turn % 2 == 0
            self.receive(REPLY_TURN if reply_is_due else TURN)
            self.read_value(0)
            if self.turn % 16 == 0:
                self.read_value(5 * TURN)
            self.turn += 1
        # The order to stop, and the one that follows.
        sys.stdin.readline()
        observe("done", sent=self.journal[SENT], received=self.journal[RECEIVED])
        while not has_order(TURN):
            self.say_peer_state()
        return bool(sys.stdin.readline())

    def message(self, number: int) -> bytes:
        """Make a message or a value of this life."""
        return payload(self.journal[LIVES], number, LONGEST[number % 4])

    def send(self) -> int:
        """Send the next messages, in one of four ways; return how many."""
        before = self.journal[SENT]
        count = 3 if self.turn % 4 == 0 else 1
        messages = [self.message(number) for number in range(before + 1, before + 1 + count)]
        self.journal[INTENDED] = before + count
        ways: tuple[Callable[[], object], ...] = (
            lambda: self.endpoint.send_many(messages, 0),
            lambda: self.endpoint.send(messages[0], TURN),
            lambda: self.send_in_place(messages[0]),
            lambda: self.endpoint.try_send(messages[0]),
        )
        sent = self.attempt(ways[self.turn % len(ways)], count)
        if sent:
            self.journal[SENT] = before + sent
        return sent

    def send_in_place(self, message: bytes) -> None:
        """Build the message where it is sent from."""
        loan = self.endpoint.loan(len(message), 0)
        memoryview(loan)[:] = message
        loan.send()

    @staticmethod
    def attempt(call: Callable[[], object], count: int = 1) -> int:
        """Return how many messages the call sent: fewer for what may succeed later."""
        try:
            call()
        except (eshm.FullError, eshm.TimeoutError) as error:
            return error.sent
        return count

    def receive(self, wait: float) -> None:
        """Receive what is there, and wait for the first. Release each only when it is in the journal."""
        for _ in range(MOST):
            try:
                with self.endpoint.borrow(wait) as message:
                    taken = self.take(bytes(message))
            except eshm.TimeoutError:
                return
            self.journal[RELEASED] = self.journal[RECEIVED]
            self.heard(taken)
            wait = 0

    def take(self, message: bytes) -> tuple[int, int] | None:
        """Enter a message that is not released yet; None: it is the end."""
        if not message:
            return None
        life, number = checked(message)
        received = self.journal[RECEIVED]
        if number <= self.last:
            self.journal.record(DUPLICATE, number, number)
        elif number <= received:
            self.journal.record(AGAIN, number, number)
        else:
            if number > received + 1:
                self.journal.record(MISSING, received + 1, number - 1)
            self.journal[RECEIVED] = number
        self.last = max(number, self.last)
        return life, number

    def heard(self, message: tuple[int, int] | None) -> None:
        """Take note of the end, or of the first message of another life of the peer."""
        if message is None:
            self.peer_has_ended = True
            return
        life, number = message
        if life != self.peer_life:
            self.peer_life = life
            observe("received", seed=life, number=number, generation=self.endpoint.generation)

    def say_peer_state(self) -> None:
        """Say how the peer is, when that has changed."""
        state = self.endpoint.peer_state
        if state != self.peer_state:
            self.peer_state = state
            observe("peer", state=state)

    def write_value(self) -> None:
        """Write a value."""
        number = self.journal[VALUE] + 1
        self.journal[VALUE] = number
        self.attempt(lambda: self.endpoint.write(self.message(number)))

    def read_value(self, wait: float) -> None:
        """Read the peer's value, if there is one: whole, and newer than the one before."""
        try:
            value = self.endpoint.read(wait)
        except eshm.TimeoutError:
            return
        _, number = checked(value.data)
        if number <= self.value:
            raise ValueError(f"value {number} came after {self.value}")
        self.value = number


def checked(message: bytes) -> tuple[int, int]:
    """Return the life and the number of a message, which is whole."""
    return check(message, LONGEST[int.from_bytes(message[:8], "little") % 4])


def has_order(wait: float = 0) -> bool:
    """Tell whether stdin has a line or has ended."""
    return bool(select.select([sys.stdin], [], [], wait)[0])
