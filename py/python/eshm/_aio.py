"""An endpoint in an event loop.

Helper threads wait, and only the event loop takes messages: a wait that is cancelled has taken nothing. A
helper waits in short slices, as long as a task awaits it, and ends before the interpreter does.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
import weakref
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

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
    from typing import Self, Unpack

    from eshm._eshm import _Buffer
    from eshm._types import EndpointOptions

_T = TypeVar("_T")

#: How long a helper waits for a peer before it checks whether a task still awaits it, in seconds.
_SLICE = 0.02


class _Watch:
    """A wait of a helper, and the future that tells the event loop of its end."""

    def __init__(self, wait: Callable[[], bool]) -> None:
        self._wait = wait
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        #: Whether a task awaits it. The event loop sets it; the helper reads it after each slice.
        self.is_wanted = True

    async def outcome(self) -> None:
        """Return when there may be something to take, or raise the helper's exception."""
        try:
            await asyncio.wait([self._over])
        finally:
            self.is_wanted = False
        self._over.result()

    async def end(self) -> None:
        """Return when the helper has ended the wait. It does so within a slice when no task awaits it."""
        # A closed loop is not told.
        if self._loop is asyncio.get_running_loop():
            await asyncio.wait([self._over])

    def carry_out(self, helper: _Helper) -> None:
        """Wait, in the helper."""
        error = None
        try:
            while self.is_wanted and not helper.is_ending and not self._wait():
                pass
        except Exception as raised:  # the task that awaits it raises it
            error = raised
        # Raised by a loop that is closed. No task of such a loop awaits anything.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, error)

    def _settle(self, error: Exception | None) -> None:
        if error is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(error)
            # Marks the exception as seen: the task that awaited it may have been cancelled.
            self._over.exception()


class _Helper(threading.Thread):
    """A thread that carries out one watch after another.

    Between two of them it refers to no endpoint, so one that is dropped is closed. It is a daemon, because
    the interpreter joins all other threads before it calls `_end_helpers`.
    """

    def __init__(self) -> None:
        super().__init__(name="eshm-aio", daemon=True)
        self.is_ending = False
        self._watches: SimpleQueue[_Watch | None] = SimpleQueue()

    def carry_out(self, watch: _Watch) -> None:
        """Have the thread carry this out next."""
        self._watches.put(watch)

    def run(self) -> None:
        """Carry out watches until `end` is called."""
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
    """End the helpers. One that returned from a slice after the interpreter's end would be killed there."""
    helpers = [thread for thread in threading.enumerate() if isinstance(thread, _Helper)]
    for helper in helpers:
        helper.end()
    for helper in helpers:
        helper.join()


class _Lane:
    """Tasks that await the same verb, in the order of their calls, and the helper of the first one."""

    def __init__(self, segment: str) -> None:
        self._segment = segment
        self._turn = asyncio.Lock()
        self._watch: _Watch | None = None
        self._helper: _Helper | None = None
        self._is_closed = False

    async def take(self, attempt: Callable[[], _T | None], wait: Callable[[], bool]) -> _T:
        """Return what `attempt` finds. While that is None, await `wait`, which tells when to try again.

        Only `attempt` takes a message, and nothing is awaited between that and the return.
        """
        async with self._turn:
            # After a cancelled task, the helper may be in its last slice, which would delay the attempt.
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
        """End the helper. The endpoint is closed, so its wait ends, too."""
        self._is_closed = True
        if self._helper is not None:
            self._helper.end()
            self._helper.join()


class AsyncEndpoint:
    """An endpoint for `asyncio`: what waits is awaited.

    >>> async with await AsyncEndpoint.open("robot", role="slave") as robot:
    ...     async for message in robot:
    ...         await robot.send(b"ack")

    Time limits are those of asyncio: `async with asyncio.timeout(0.1)`, or `asyncio.wait_for`. A call that is
    cancelled has no effect: a message that arrives meanwhile goes to the next receiver, and a message whose
    send was cancelled was not sent. Tasks that await the same verb are served in the order of their calls.

    It belongs to one event loop. Calls that never wait are made on `endpoint`: `write`, `try_recv`, `stats` …
    While a task awaits a message or a value, such a call that receives may block the loop for 5 ms. So may
    one that sends while a task awaits room.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Use an open endpoint in the running event loop."""
        #: The endpoint itself.
        self.endpoint = endpoint
        self._recv, self._read, self._send, self._peer = (_Lane(endpoint.name) for _ in range(4))

    @classmethod
    async def open(cls, name: str, **options: Unpack[EndpointOptions]) -> Self:
        """Open an endpoint, as `Endpoint(name, **options)` does, without blocking the event loop."""
        return cls(await asyncio.to_thread(Endpoint, name, **options))

    async def recv(self) -> Message:
        """Return the next message. Each is received once, in order."""
        return await self._recv.take(self.endpoint.try_recv, self.endpoint._wait_message)

    async def read(self) -> Message:
        """Return the latest value, as soon as there is one that was not read."""
        return await self._read.take(self.endpoint.try_read, self.endpoint._wait_value)

    async def send(self, data: _Buffer) -> None:
        """Send a message, waiting while the queue is full."""
        await self._send.take(
            partial(_try_send, self.endpoint, data), partial(self.endpoint._wait_room, data)
        )

    async def wait_for_peer(self) -> None:
        """Return when the peer is alive."""
        endpoint = self.endpoint
        await self._peer.take(lambda: _has_peer(endpoint, 0) or None, lambda: _has_peer(endpoint, _SLICE))

    @property
    def closed(self) -> bool:
        """Whether the endpoint was closed."""
        return self.endpoint.closed

    def close(self) -> None:
        """Close the endpoint. Tasks that await one of its verbs raise `ClosedError`."""
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
        """Iterate over the messages until the peer closes its endpoint."""
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
