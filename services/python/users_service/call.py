"""What a call's handler may know of the call."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from users_service.errors import CallError, Code

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable


class Call:
    """One call at the server: when it is to be over, and whether the server is stopping.

    deadline_ms: how long the client will wait, in milliseconds from now on; 0: without limit.
    stopping: set when the server is told to stop.
    wait: waits for some seconds, less if the call is over before; until the server stops, unless given.
    """

    __slots__ = ("_ends", "_stopping", "_wait")

    def __init__(
        self, deadline_ms: int, stopping: threading.Event, wait: Callable[[float], object] | None = None
    ) -> None:
        self._ends = time.monotonic() + deadline_ms / 1000 if deadline_ms else None
        self._stopping = stopping
        self._wait = wait or stopping.wait

    def left(self) -> float | None:
        """Return the seconds left, or None where there is no limit."""
        return None if self._ends is None else self._ends - time.monotonic()

    def check(self) -> None:
        """Raise DEADLINE_EXCEEDED when the time is over, and UNAVAILABLE when the server is stopping."""
        if self._ends is not None and self._ends <= time.monotonic():
            raise deadline_error()
        if self._stopping.is_set():
            raise stopping_error()

    def pause(self, seconds: float) -> None:
        """Wait, no longer than the call may last.

        Raises what `check` does.
        """
        allowed = self.allowed(seconds)
        self._wait(allowed)
        self.check()
        if allowed < seconds:
            # Whatever the clock says: a wait may end a moment early.
            raise deadline_error()

    def allowed(self, seconds: float) -> float:
        """Return `seconds`, or what is left until the deadline if that is less."""
        left = self.left()
        return seconds if left is None else min(seconds, max(left, 0.0))


def deadline_error() -> CallError:
    """Return the error of a call that lasts too long."""
    return CallError(Code.DEADLINE_EXCEEDED, "the call was not over within its deadline")


def stopping_error() -> CallError:
    """Return the error of a call that the server's end cuts short."""
    return CallError(Code.UNAVAILABLE, "the server is stopping; try again when it is back")
