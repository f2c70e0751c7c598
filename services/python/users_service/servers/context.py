"""What the four transports share."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from users_service.call import Call

if TYPE_CHECKING:
    from users_service.errors import Code
    from users_service.service import Service


@dataclass(frozen=True)
class Context:
    """The service that all transports serve, and their common settings.

    max_message: the greatest message that is taken and sent, in bytes.
    log_calls: whether each call leaves a line on stderr.
    stopping: set when the server is told to stop; what waits for long looks at it.
    """

    service: Service
    max_message: int
    log_calls: bool
    stopping: threading.Event = field(default_factory=threading.Event)

    def begin(self, deadline_ms: int) -> Call:
        """Return a call that begins now; 0 is without a deadline."""
        return Call(deadline_ms, self.stopping)

    def note(self, transport: str, method: str, code: Code, began: float) -> None:
        """Log a call that is over; `began` is of `time.perf_counter`."""
        if self.log_calls:
            milliseconds = (time.perf_counter() - began) * 1000
            sys.stderr.write(f"{transport} {method} {code.name} {milliseconds:.3f} ms\n")


class Server(Protocol):
    """One transport at work."""

    @property
    def address(self) -> str:
        """What a client's --address takes."""

    def stop(self) -> None:
        """End calls and connections, and return when nothing is left of them."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT; an IPv6 host may stand in brackets. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise ValueError(f"'{address}' is no address: expected HOST:PORT, such as 127.0.0.1:8080")
    return host.removeprefix("[").removesuffix("]"), int(port)
