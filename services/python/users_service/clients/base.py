"""What a client can do, whatever the transport."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from users_service.errors import CallError, Code

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from users_service.methods import Method


class Stream(Protocol):
    """A call of which at least one side streams. Whoever leaves it before its end cancels it."""

    def send(self, message: Message) -> None:
        """Send one message; raises what `receive` does when the server has ended the call."""

    def finish(self) -> None:
        """Say that no message follows."""

    def receive(self) -> Message | None:
        """Return the next message of the server; None: the call is over. Raises CallError."""

    def cancel(self) -> None:
        """End the call, whatever comes yet. After the call's end this does nothing."""


class Client(Protocol):
    """A client of one server, for one thread. It connects by itself with the first call.

    Every call raises CallError; `deadline_ms` of 0 is without a deadline.
    """

    def connect(self) -> None:
        """Connect, unless that has been done."""

    def unary(self, method: Method, request: Message, deadline_ms: int = 0) -> Message:
        """Make a call of one message each way."""

    def echo(self, payload: bytes, delay_ms: int = 0, deadline_ms: int = 0) -> bytes:
        """Make the call Items.Echo."""

    def stream(self, method: Method, request: Message | None, deadline_ms: int = 0) -> Stream:
        """Begin a call that streams; `request` is None where the client streams."""

    def unknown(self, name: str, deadline_ms: int = 0) -> None:
        """Call a method that is not in the contract."""

    def close(self) -> None:
        """Disconnect. The next call connects again."""


class Deadline:
    """When a call is to be over, on the client's clock."""

    def __init__(self, deadline_ms: int) -> None:
        self._ends = time.monotonic() + deadline_ms / 1000 if deadline_ms else None

    def left(self) -> float | None:
        """Return the seconds left, None without a deadline. DEADLINE_EXCEEDED when there are none."""
        if self._ends is None:
            return None
        left = self._ends - time.monotonic()
        if left <= 0:
            raise deadline_exceeded()
        return left


def deadline_exceeded() -> CallError:
    """Return the error of a call that took too long."""
    return CallError(Code.DEADLINE_EXCEEDED, "no answer came within the call's deadline")


def unavailable(what: object) -> CallError:
    """Return the error of a server that cannot be reached, or left."""
    return CallError(Code.UNAVAILABLE, f"{what}; call again when the server is there")
