"""Many messages of every size, cheap to create and to compare. Every language creates the same ones."""

from __future__ import annotations

import struct
from itertools import islice
from typing import TYPE_CHECKING

import looped
from observe import observe
from payload import words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    import eshm

#: The number of messages that are sent one at a time, and then in a batch, alternately.
RUN = 100
#: The number of offsets in the block at which messages start.
STARTS = 1 << 16


class Flood:
    """The messages of a series: slices of one block of pseudo-random bytes."""

    def __init__(self, seed: int, longest: int) -> None:
        self.seed = seed
        self.longest = longest
        count = (longest + STARTS + 7) // 8
        self.block = memoryview(struct.pack(f"<{count}Q", *islice(words(seed), count)))

    def message(self, number: int) -> memoryview:
        word = next(words(self.seed ^ number))
        if number < 2:
            length = self.longest * number
        elif word % 4096 == 0:
            length = (word >> 12) % (self.longest + 1)
        elif word % 64 == 0:
            length = (word >> 12) % (min(4096, self.longest) + 1)
        else:
            length = (word >> 12) % 65
        start = word >> 48
        return self.block[start : start + length]

    def expect(self, number: int, found: bytes) -> None:
        expected = self.message(number)
        # As bytes: a memoryview compares item by item.
        if found != expected.tobytes():
            pairs = zip(found, expected)
            at = next((index for index, (a, b) in enumerate(pairs) if a != b), min(len(found), len(expected)))
            raise ValueError(
                f"message {number} differs at byte {at}: {len(found)} bytes, expected {len(expected)}"
            )


def runs(count: int) -> Iterator[tuple[range, bool]]:
    """Yield the numbers of each run, and whether they go in a batch."""
    for first in range(0, count, RUN):
        yield range(first, min(first + RUN, count)), first // RUN % 2 == 1


def flood(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Master: send messages, then receive the slave's; slave: receive, then send."""
    messages = Flood(args.seed, endpoint.max_message)
    if endpoint.role == "master":
        send(endpoint, args, messages)
        receive(endpoint, args, messages)
    else:
        receive(endpoint, args, messages)
        send(endpoint, args, messages)
    observe("done", sent=args.count, received=args.count)


def send(endpoint: eshm.Endpoint, args: argparse.Namespace, messages: Flood) -> None:
    for numbers, in_batch in runs(args.count):
        if in_batch:
            endpoint.send_many([messages.message(number) for number in numbers], args.timeout)
        elif isinstance(endpoint, looped.Endpoint):
            endpoint.send_each(map(messages.message, numbers), args.timeout)
        else:
            for number in numbers:
                endpoint.send(messages.message(number), args.timeout)


def receive(endpoint: eshm.Endpoint, args: argparse.Namespace, messages: Flood) -> None:
    for numbers, in_batch in runs(args.count):
        due = numbers.start
        while due < numbers.stop:
            if in_batch:
                found = endpoint.recv_many(numbers.stop - due, args.timeout)
            elif isinstance(endpoint, looped.Endpoint):
                found = endpoint.recv_each(numbers.stop - due, args.timeout)
            else:
                found = [endpoint.recv(args.timeout)]
            for message in found:
                messages.expect(due, message.data)
                due += 1
