"""An endpoint in an event loop.

Helper threads wait, and the event loop takes: a wait that is given up has nothing in its hand. A helper waits
in short slices, as long as somebody awaits it, and ends before the interpreter does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import weakref
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from eshm._errors import (
    ClosedError,
    FullError,
    PeerClosedError,
    ReconnectingError,
    TimeoutError,  # noqa: A004 - that of this package
)
from eshm._eshm import Endpoint, Message

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from eshm._eshm import _Buffer

_T = TypeVar("_T")

#: How long a helper waits for a peer before it looks whether it is still to wait.
_SLICE = 0.02


class _Watch:
    """A wait of a helper, and what tells the event loop of its end."""

    def __init__(self, wait: Callable[[], bool]) -> None:
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        #: Whether somebody awaits it. The event loop says so; the helper asks after each slice.
        self.is_wanted = True

    async def outcome(self) -> None:
        """Return when there may be something, or raise what the helper ran into."""
        try:
            await asyncio.wait([self._over])
        finally:
            self.is_wanted = False
        self._over.result()

    async def end(self) -> None:
        """Return when the helper has ended it, as it does soon when it is not wanted."""
        # A loop that is closed hears of nothing.
        if self._loop is asyncio.get_running_loop():
            await asyncio.wait([self._over])

    def carry_out(self, helper: _Helper) -> None:
        """Wait, in the helper."""
        error = None
        try:
            while self.is_wanted and not helper.is_ending and not self._wait():
                pass
        except Exception as raised:  # whoever awaits it raises it
            error = raised
        # A loop that is closed has nobody who awaits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)
            # Whoever awaited it may have left.
            self._over.exception()


class _Helper(threading.Thread):
    """A thread that carries out one watch after another.

    Between two of them it refers to nobody: an endpoint that is dropped goes. It is a daemon, since the
    interpreter waits for other threads before it lets `_end_helpers` end them.
    """

    def __init__(self) -> None:
        super().__init__(name="eshm-aio", daemon=True)
        self.is_ending = False
        self._watches: SimpleQueue[_Watch | None] = SimpleQueue()

    def carry_out(self, watch: _Watch) -> None:
        """Have the thread carry this out next."""
        self._watches.put(watch)

    def run(self) -> None:
        """Carry out what comes, until the end."""
        while self._carry_out_next():
            pass

    def _carry_out_next(self) -> bool:
        watch = self._watches.get()
        if watch is None:
            return False
        watch.carry_out(self)
        return True

    def end(self) -> None:
        """Have the thread end, within a slice."""
        self.is_ending = True
        self._watches.put(None)


@atexit.register
def _end_helpers() -> None:
    """End the helpers: one that returned from a slice into an interpreter that is gone would be killed."""
    helpers = [thread for thread in threading.enumerate() if isinstance(thread, _Helper)]
    for helper in helpers:
        helper.end()
    for helper in helpers:
        helper.join()


class _Lane:
    """Tasks that await the same thing, in the order in which they came, and the helper of the first."""

    def __init__(self, segment: str) -> None:
        self._segment = segment
        self._turn = asyncio.Lock()
        self._watch: _Watch | None = None
        self._helper: _Helper | None = None
        self._is_closed = False

    async def take(self, attempt: Callable[[], _T | None], wait: Callable[[], bool]) -> _T:
        """Return what `attempt` finds; while that is None, await `wait`, which tells when to try again.

        Only `attempt` takes anything, and nothing is awaited between that and the return.
        """
        async with self._turn:
            # One who gave up may have left the helper in its last slice, which would hold the attempt up.
            if self._watch is not None:
                await self._watch.end()
                self._watch = None
            while (found := attempt()) is None:
                self._watch = self._begin(wait)
                await self._watch.outcome()
                self._watch = None
            return found

    def _begin(self, wait: Callable[[], bool]) -> _Watch:
        if self._is_closed:
            raise ClosedError(f"segment '{self._segment}': the endpoint is closed")
        if self._helper is None:
            self._helper = _Helper()
            self._helper.start()
            weakref.finalize(self, self._helper.end)
        watch = _Watch(wait)
        self._helper.carry_out(watch)
        return watch

    def close(self) -> None:
        """End the helper, once nothing that it waits for can come."""
        self._is_closed = True
        if self._helper is not None:
            self._helper.end()
            self._helper.join()


class AsyncEndpoint:
    """An endpoint for `asyncio`: what waits is awaited.

    >>> async with await AsyncEndpoint.open("robot", role="slave") as robot:
    ...     async for message in robot:
    ...         await robot.send(b"ack")

    Limits are those of asyncio: `async with asyncio.timeout(0.1)`, or `asyncio.wait_for`. What is cancelled
    has done nothing: a message that came meanwhile is the next receiver's, and a message whose send was
    cancelled was not sent. Tasks that await the same verb are served in the order in which they came.

    It belongs to one event loop. What never waits is called on `endpoint`: `write`, `try_recv`, `stats` …
    While a task awaits a message or a value, such a call that receives may hold the loop up for 5 ms; so
    may one that sends while a task awaits room.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Take an open endpoint into an event loop."""
        #: The endpoint itself.
        self.endpoint = endpoint
        self._recv, self._read, self._send, self._peer = (_Lane(endpoint.name) for _ in range(4))

    @classmethod
    async def open(cls, name: str, **options: Any) -> Self:
        """Open an endpoint, as `Endpoint(name, **options)` does, without holding the loop up."""
        return cls(await asyncio.to_thread(Endpoint, name, **options))

    async def recv(self) -> Message:
        """Return the next message: every one, once, in order."""
        return await self._recv.take(self.endpoint.try_recv, self.endpoint._wait_message)

    async def read(self) -> Message:
        """Return the latest value, once there is one that was not read."""
        return await self._read.take(self.endpoint.try_read, self.endpoint._wait_value)

    async def send(self, data: _Buffer) -> None:
        """Send a message, waiting while the queue is full."""
        await self._send.take(
            partial(_try_send, self.endpoint, data), partial(self.endpoint._wait_room, data)
        )

    async def wait_for_peer(self) -> None:
        """Return when a live peer is there."""
        endpoint = self.endpoint
        await self._peer.take(lambda: _has_peer(endpoint, 0) or None, lambda: _has_peer(endpoint, _SLICE))

    def close(self) -> None:
        """Close the endpoint: whoever awaits it gets a `ClosedError`."""
        self.endpoint.close()
        for lane in (self._recv, self._read, self._send, self._peer):
            lane.close()

    async def __aenter__(self) -> Self:
        """Return the endpoint."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the endpoint."""
        self.close()

    def __aiter__(self) -> Self:
        """Return the messages, until the peer closes its endpoint."""
        return self

    async def __anext__(self) -> Message:
        """Return the next message."""
        try:
            return await self.recv()
        except PeerClosedError:
            raise StopAsyncIteration from None


def _try_send(endpoint: Endpoint, data: _Buffer) -> bool | None:
    """Return True, or None when there is no room yet."""
    try:
        endpoint.try_send(data)
    except (FullError, ReconnectingError):
        return None
    return True


def _has_peer(endpoint: Endpoint, timeout: float) -> bool:
    try:
        endpoint.wait_for_peer(timeout)
    except TimeoutError:
        return False
    return True
