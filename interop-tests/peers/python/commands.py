"""The scenario `commands`: one line on stdin is one call, answered by one observation."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Callable

import eshm
import life
from life import data, seconds
from observe import observe, observe_error
from payload import payload

if TYPE_CHECKING:
    import argparse


class Commands:
    """Answers commands; holds the endpoint that they open."""

    def __init__(self, args: argparse.Namespace, open_endpoint: Callable[..., eshm.Endpoint]) -> None:
        self.args = args
        self.open_endpoint = open_endpoint
        self.endpoint: eshm.Endpoint | None = None
        self.borrows = life.Borrows()

    def answer(self, words: list[str]) -> None:
        """Carry out one command, and observe the result."""
        verb, *rest = words
        if verb == "open":
            self.open(rest)
        elif verb == "open-with":
            self.endpoint = life.open_with(self.args.endpoint, rest)
            self.opened()
        elif verb == "leave":
            self.leave()
        elif verb == "observe":
            life.look(data(rest[0]).decode())
        elif verb == "close":
            self.close()
            observe("ok")
        elif verb == "payload":
            observe("payload", hex=payload(*map(int, rest)).hex())
        elif self.endpoint is None:
            raise ValueError(f"{words}: no endpoint is open")
        elif not self.borrows.answer(self.endpoint, verb, rest):
            self.call(self.endpoint, verb, rest)

    def open(self, rest: list[str]) -> None:
        """`open`, or `open ROLE NAME [SIZE]`."""
        role, name, size = self.args.role, self.args.name, self.args.size
        if rest:
            role, name = rest[0], data(rest[1]).decode()
            size = int(rest[2]) if rest[2:] else None
        self.endpoint = self.open_endpoint(self.args, role, name, size)
        self.opened()

    def opened(self) -> None:
        """Observe what was opened."""
        if self.endpoint is not None:
            observe("opened", role=self.endpoint.role, data_size=self.endpoint.data_size)

    def leave(self) -> None:
        """Close, and observe how many messages were not received."""
        self.borrows.drop()
        endpoint, self.endpoint = self.endpoint, None
        observe("closed", unreceived=0 if endpoint is None else endpoint.close())

    def close(self) -> None:
        """Close the endpoint, if one is open."""
        if self.endpoint is not None:
            self.endpoint.close()
        self.endpoint = None

    def call(self, endpoint: eshm.Endpoint, verb: str, rest: list[str]) -> None:
        """Call the endpoint."""
        if verb == "state":
            state(endpoint)
        elif verb == "recv-text":
            observe("text", text=endpoint.recv().text())
        elif verb in RECEIVING:
            message(RECEIVING[verb](endpoint, *map(seconds, rest)))
        elif verb in SENDING:
            SENDING[verb](endpoint, data(rest[0]), *map(seconds, rest[1:]))
            observe("ok")
        elif verb == "wait-peer":
            endpoint.wait_for_peer(seconds(rest[0]))
            observe("ok")
        else:
            raise ValueError(f"{verb!r} is no command")


def send_text(endpoint: eshm.Endpoint, text: bytes) -> None:
    """Send text with its terminator."""
    endpoint.send(eshm.encode_text(text.decode()))


def read(endpoint: eshm.Endpoint, timeout: float | None = None) -> eshm.Message | None:
    """Read; None when there is nothing in time."""
    try:
        return endpoint.read(timeout)
    except eshm.TimeoutError:
        return None


def recv(endpoint: eshm.Endpoint, timeout: float | None = None) -> eshm.Message | None:
    """Receive; None when there is nothing in time."""
    try:
        return endpoint.recv(timeout)
    except eshm.TimeoutError:
        return None


SENDING: dict[str, Callable[..., None]] = {
    "write": lambda endpoint, data: endpoint.write(data),
    "try-send": lambda endpoint, data: endpoint.try_send(data),
    "send": lambda endpoint, data, *timeout: endpoint.send(data, *timeout),
    # The synchronous interface ends a wait only by its timeout.
    "cancel-send": lambda endpoint, data, timeout: endpoint.send(data, timeout),
    "send-text": send_text,
}
RECEIVING: dict[str, Callable[..., eshm.Message | None]] = {
    "try-read": lambda endpoint: endpoint.try_read(),
    "read": read,
    "try-recv": lambda endpoint: endpoint.try_recv(),
    "recv": recv,
    # The synchronous interface ends a wait only by its timeout.
    "cancel-recv": recv,
}


def run(args: argparse.Namespace, open_endpoint: Callable[..., eshm.Endpoint]) -> None:
    """Answer commands until stdin ends, then close the endpoint."""
    commands = Commands(args, open_endpoint)
    for line in sys.stdin:
        try:
            commands.answer(line.rstrip("\n").split(" "))
        except eshm.Error as error:
            observe_error(error)
    commands.close()


def state(endpoint: eshm.Endpoint) -> None:
    """Observe what the endpoint knows."""
    observe(
        "state",
        role=endpoint.role,
        peer=endpoint.peer_state,
        generation=endpoint.generation,
        data_size=endpoint.data_size,
    )


def message(received: eshm.Message | None) -> None:
    """Observe a message, or that there was none."""
    if received is None:
        observe("nothing")
    else:
        observe("message", hex=received.data.hex(), skipped=received.skipped, generation=received.generation)
