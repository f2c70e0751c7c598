"""An endpoint in an event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from eshm._errors import FullError, PeerClosedError, ReconnectingError
from eshm._eshm import Endpoint, Message

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from eshm._eshm import _Buffer

_T = TypeVar("_T")


class _Lane(Generic[_T]):
    """What one verb waits for: on a thread of its own, so that the loop does not wait.

    Whoever waits may be cancelled; what its thread has in hand is the next one's then, and nothing is lost.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="eshm-aio")
        self._turn = asyncio.Lock()
        self._pending: asyncio.Future[_T] | None = None

    async def take(self, look: Callable[[], _T | None], wait: Callable[[], _T]) -> _T:
        """Return what `look` finds at once, or else what `wait` returns."""
        async with self._turn:
            if self._pending is None:
                found = look()
                if found is not None:
                    return found
                self._pending = asyncio.get_running_loop().run_in_executor(self._thread, wait)
            try:
                found = await asyncio.shield(self._pending)
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._pending = None
                raise
            self._pending = None
            return found

    async def drain(self) -> None:
        """Wait until nothing is in hand, whatever became of it."""
        async with self._turn:
            if self._pending is not None:
                await asyncio.wait([self._pending])
                self._pending = None

    def close(self) -> None:
        """Let the thread end, once what it waits for has ended."""
        self._thread.shutdown(wait=False)


class AsyncEndpoint:
    """An endpoint for `asyncio`: what waits is awaited, on a thread that the endpoint keeps for it.

    >>> async with await AsyncEndpoint.open("robot", role="slave") as robot:
    ...     async for message in robot:
    ...         await robot.send(b"ack")

    Limits are those of asyncio: `async with asyncio.timeout(0.1)`, or `asyncio.wait_for`. A receive that is
    cancelled loses nothing: the message is the next one's. A send that is cancelled may still be sent.

    It belongs to one event loop. What never waits is called on `endpoint`: `write`, `try_recv`, `stats` …
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Take an open endpoint into an event loop."""
        #: The endpoint itself.
        self.endpoint = endpoint
        self._recv: _Lane[Message] = _Lane()
        self._read: _Lane[Message] = _Lane()
        self._send: _Lane[bool] = _Lane()
        self._peer: _Lane[bool] = _Lane()

    @classmethod
    async def open(cls, name: str, **options: Any) -> Self:
        """Open an endpoint, as `Endpoint(name, **options)` does, without holding the loop up."""
        return cls(await asyncio.to_thread(Endpoint, name, **options))

    async def recv(self) -> Message:
        """Return the next message: every one, once, in order."""
        return await self._recv.take(self.endpoint.try_recv, self.endpoint.recv)

    async def read(self) -> Message:
        """Return the latest value, once there is one that was not read."""
        return await self._read.take(self.endpoint.try_read, self.endpoint.read)

    async def send(self, data: _Buffer) -> None:
        """Send a message, waiting while the queue is full."""
        await self._send.drain()

        def attempt() -> bool | None:
            try:
                self.endpoint.try_send(data)
            except (FullError, ReconnectingError):
                return None
            return True

        def wait() -> bool:
            self.endpoint.send(data)
            return True

        await self._send.take(attempt, wait)

    async def wait_for_peer(self) -> None:
        """Return when a live peer is there."""

        def wait() -> bool:
            self.endpoint.wait_for_peer()
            return True

        await self._peer.take(lambda: None, wait)

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
