"""The scenarios with continuous traffic."""

from __future__ import annotations

import select
import sys
import time
from typing import TYPE_CHECKING

import eshm
from observe import observe
from payload import check, payload

if TYPE_CHECKING:
    import argparse

#: The number of values that are written between two reads of `latest-value`.
PACE = 100
#: How long one side of `both-directions` or `stream` waits for one message before it does its other work.
TURN = 0.001


def echo(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Master: send numbered messages and expect each back; slave: send each back."""
    longest = endpoint.data_size
    for number in range(args.count):
        if endpoint.role == "master":
            endpoint.send(payload(args.seed, number, longest), args.timeout)
        message = endpoint.recv(args.timeout).data
        expect(check(message, longest)[1], number)
        if endpoint.role == "slave":
            endpoint.send(message, args.timeout)
    observe("done", sent=args.count, received=args.count)


def latest_value(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Master: write values as fast as possible, then read the slave's; slave: read, then write."""
    endpoint.wait_for_peer(args.timeout)
    if endpoint.role == "slave":
        read_values(endpoint, args)
        write_values(endpoint, args)
    else:
        write_values(endpoint, args)
        read_values(endpoint, args)


def write_values(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Write as fast as possible."""
    longest = endpoint.data_size
    for number in range(args.count):
        endpoint.write(payload(args.seed, number, longest))
    observe("written", count=args.count)


def read_values(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Read until the last value, letting at least PACE values be written from one read to the next."""
    longest = endpoint.data_size
    while True:
        message = endpoint.read(args.timeout)
        number = check(message.data, longest)[1]
        observe("value", number=number, skipped=message.skipped)
        if number + 1 >= args.count:
            return
        deadline = time.monotonic() + args.timeout
        while written(endpoint) < min(number + 1 + PACE, args.count):
            if time.monotonic() >= deadline:
                raise ValueError(f"nothing was written after value {number}")
            time.sleep(0)


def written(endpoint: eshm.Endpoint) -> int:
    """Return how many values the peer has written."""
    stats = endpoint.stats()
    return stats.s2m_write_count if endpoint.role == "master" else stats.m2s_write_count


def both_directions(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Send and receive at once."""
    longest = endpoint.data_size
    sent = received = 0
    while sent < args.count or received < args.count:
        if sent < args.count and try_send(endpoint, payload(args.seed, sent, longest)):
            sent += 1
        if received < args.count:
            message, _ = recv_in_turn(endpoint)
            if message is not None:
                expect(check(message, longest)[1], received)
                received += 1
    observe("done", sent=sent, received=received)


def stream(endpoint: eshm.Endpoint, args: argparse.Namespace) -> None:
    """Send and receive at once, and say so message by message.

    A line or the end of stdin asks both sides to stop: then each sends an empty message, and leaves when it
    has had the other's.
    """
    longest = endpoint.data_size
    sent = received = 0
    end_sent = end_received = False
    last_state = None
    while not (end_sent and end_received):
        state = endpoint.peer_state
        if state != last_state:
            last_state = state
            observe("peer", state=state)
        if not end_sent and stop():
            end_sent = try_send(endpoint, b"")
            if end_sent:
                observe("end-sent")
        elif not end_sent and try_send(endpoint, payload(args.seed, sent, longest)):
            observe("sent", number=sent)
            sent += 1
        if end_sent and end_received:
            break  # The other side may have left, and a receive would say so.
        # Released before it is reported, so that a killed process never leaves a reported message queued.
        message, generation = recv_in_turn(endpoint)
        if message is None:
            continue
        if not message:
            end_received = True
            observe("end-received")
            continue
        seed, number = check(message, longest)
        observe("received", seed=seed, number=number, generation=generation)
        received += 1
    observe("done", sent=sent, received=received)


def try_send(endpoint: eshm.Endpoint, message: bytes) -> bool:
    """Return whether the message was sent: not if the previous one is unread, or the master is gone."""
    try:
        endpoint.try_send(message)
    except (eshm.FullError, eshm.ReconnectingError):
        return False
    return True


def recv_in_turn(endpoint: eshm.Endpoint) -> tuple[bytes | None, int]:
    """Receive, copy and release; None when nothing came within a turn."""
    try:
        message = endpoint.recv(TURN)
    except eshm.TimeoutError:
        return None, 0
    return message.data, message.generation


def expect(found: int, expected: int) -> None:
    """Compare the numbers of messages."""
    if found != expected:
        raise ValueError(f"message {found} came, expected {expected}")


def stop() -> bool:
    """Tell, without waiting, whether stdin has had a line or has ended."""
    return bool(select.select([sys.stdin], [], [], 0)[0])
