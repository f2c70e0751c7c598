"""An endpoint in an event loop."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from eshm._arrays import ArrayLoan, form
from eshm._errors import NotFoundError, PeerClosedError
from eshm._eshm import Borrowed, Endpoint, Loan, Message, _Attempts
from eshm._types import Interest
from eshm._watch import Lane, Place, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from types import TracebackType
    from typing import Any, Self, SupportsIndex, Unpack

    from numpy.typing import DTypeLike

    from eshm._eshm import _Buffer
    from eshm._types import EndpointOptions

_T = TypeVar("_T")

#: How many calls in succession may go without a wait before one lets other tasks run.
_STREAK = 100
#: How often `open` looks for the segment, in seconds.
_LOOK = 0.002
#: The longest time that `Endpoint` accepts, in seconds.
_LONGEST = 1.8e19


class AsyncEndpoint:
    """An endpoint for `asyncio` and `uvloop`: what waits is awaited.

    >>> async with await AsyncEndpoint.open("robot", role="slave") as robot:
    ...     async for message in robot:
    ...         await robot.send(b"ack")

    Time limits are those of asyncio: `async with asyncio.timeout(0.1)`, or `asyncio.wait_for`. A call that is
    cancelled has no effect: a message that arrives meanwhile goes to the next receiver, and a message whose
    send was cancelled was not sent. Tasks that await the same verb are served in the order of their calls.

    It belongs to one event loop, which waits for the endpoint's event descriptor: no thread does. Calls that
    never wait are made on `endpoint`: `stats`, `peer_state` … Do not call its `events` while a task waits.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Use an open endpoint in the running event loop."""
        #: The endpoint itself.
        self.endpoint = endpoint
        self._attempts = _Attempts(endpoint)
        self._watch: Watch | None = None
        self._make_lanes()

    def _make_lanes(self) -> None:
        self._recv = Lane(Interest.READABLE.value)
        self._read = Lane(Interest.VALUE.value)
        self._send = Lane(Interest.WRITABLE.value)
        self._peer = Lane(Interest.PEER.value)

    @classmethod
    async def open(cls, name: str, **options: Unpack[EndpointOptions]) -> Self:
        """Open an endpoint, as `Endpoint(name, **options)` does, without blocking the event loop."""
        timeout = options.get("connect_timeout", 5.0)
        now = asyncio.get_running_loop().time
        until = now() + timeout
        if 0 < timeout <= _LONGEST:
            options["connect_timeout"] = 0.0
        while True:
            try:
                return cls(Endpoint(name, **options))
            except NotFoundError:
                if now() >= until:
                    raise
            await asyncio.sleep(_LOOK)

    def recv(self) -> Coroutine[Any, Any, Message]:
        """Return the next message. Each is received once, in order."""
        return self._take(self._recv, self._attempts.recv)

    def read(self) -> Coroutine[Any, Any, Message]:
        """Return the latest value, as soon as there is one that was not read."""
        return self._take(self._read, self._attempts.read)

    def borrow(self) -> Coroutine[Any, Any, Borrowed]:
        """Return the next message, to be read in the queue without a copy.

        >>> with await robot.borrow() as message:
        ...     total = np.frombuffer(message, np.float32).sum()

        The next call that receives releases it, as `Endpoint.borrow` says. Tasks that wait already do not.
        """
        return self._take(self._recv, self._attempts.borrow)

    def recv_many(self, max: int | None = None) -> Coroutine[Any, Any, list[Message]]:  # noqa: A002 - as Endpoint's
        """Return the messages that are there, at most `max` of them. Wait for the first one."""
        return self._take(self._recv, partial(self._attempts.recv_many, max))

    def recv_into(self, array: _Buffer) -> Coroutine[Any, Any, int]:
        """Copy the messages that are there into an array, as `Endpoint.recv_into`. Wait for the first one."""
        return self._take(self._recv, partial(self._attempts.recv_into, array))

    async def send(self, data: _Buffer) -> None:
        """Send a message, waiting while the queue is full."""
        await self._take(self._send, partial(self._attempts.send, data))

    def loan(self, size: int) -> Coroutine[Any, Any, Loan]:
        """Reserve memory in the queue for a message of that many bytes, waiting while the queue is full.

        >>> with await robot.loan(frame.nbytes) as loan:
        ...     np.frombuffer(loan, frame.dtype).reshape(frame.shape)[:] = frame
        ...     loan.send()

        Until it is sent or released, a send of another task raises InUseError.
        """
        return self._take(self._send, partial(self._attempts.loan, size))

    async def loan_array(self, shape: SupportsIndex | Iterable[SupportsIndex], dtype: DTypeLike) -> ArrayLoan:
        """Reserve memory in the queue for an array, as `Endpoint.loan_array`, waiting for room."""
        lengths, item = form(self.endpoint, shape, dtype)
        return ArrayLoan(await self.loan(math.prod(lengths) * item.itemsize), lengths, item)

    async def send_many(self, messages: Iterable[_Buffer]) -> None:
        """Send the messages in order, waiting while the queue is full. No other task sends in between.

        When one cannot be sent, the exception's `sent` tells how many were. So does a `CancelledError`.
        """
        items = list(messages)
        await self._send_all(lambda sent: (self._attempts.send_many(items, sent), len(items)))

    async def send_records(self, array: _Buffer) -> None:
        """Send each item along the first axis of an array as one message, as `send_many`."""
        await self._send_all(partial(self._attempts.send_records, array))

    async def _send_all(self, send: Callable[[int], tuple[int, int]]) -> None:
        sent = 0

        def attempt() -> bool | None:
            nonlocal sent
            while True:
                before = sent
                sent, count = send(before)
                if sent == count:
                    return True
                if sent == before:
                    return None

        try:
            await self._take(self._send, attempt)
        except asyncio.CancelledError as error:
            error.sent = sent  # type: ignore[attr-defined]
            raise

    async def wait_for_peer(self) -> None:
        """Return when the peer is alive."""
        await self._take(self._peer, self._attempts.wait_for_peer)

    def write(self, data: _Buffer) -> None:
        """Write a value, as `Endpoint.write`. Never waits."""
        self.endpoint.write(data)

    def try_read(self) -> Message | None:
        """Return the value if it was not read before, None otherwise."""
        return self.endpoint.try_read()

    def try_recv(self) -> Message | None:
        """Return the next message, or None when there is none yet."""
        return self.endpoint.try_recv()

    def try_send(self, data: _Buffer) -> None:
        """Send a message if there is room for it. Raise FullError otherwise."""
        self.endpoint.try_send(data)

    @property
    def closed(self) -> bool:
        """Whether the endpoint was closed."""
        return self.endpoint.closed

    def close(self) -> None:
        """Close the endpoint. Tasks that await one of its verbs raise `ClosedError`."""
        # The descriptor is readable then.
        self.endpoint.close()

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

    async def _take(self, lane: Lane, attempt: Callable[[], _T | None]) -> _T:
        """Return what `attempt` finds, as soon as it is not None.

        Nothing is awaited between an attempt and the return.
        """
        if not lane.places:
            if lane.streak >= _STREAK:
                lane.streak = 0
                await asyncio.sleep(0)
            if not lane.places and (found := self._try(attempt)) is not None:
                lane.streak += 1
                return found
        lane.streak = 0
        watch = self._watch
        if watch is None or watch.loop is not asyncio.get_running_loop():
            lane, watch = self._enter_loop(lane)
        receives = lane is self._recv or lane is self._read
        place = Place(watch.loop, self._attempts.is_borrowed if receives else None)
        lane.places.append(place)
        try:
            events = watch.prepare(self.endpoint, lane.interest)
            if events is not None and lane.places[0] is place and (found := self._try(attempt)) is not None:
                return found
            while True:
                await place
                if (found := self._try(attempt)) is not None:
                    return found
        finally:
            lane.leave(place)

    def _try(self, attempt: Callable[[], _T | None]) -> _T | None:
        try:
            return attempt()
        except BaseException:
            if self._watch is not None:
                self._watch.stir()
            raise

    def _enter_loop(self, lane: Lane) -> tuple[Lane, Watch]:
        """Have the tasks of the running loop wait. Return the lane that stands for `lane` there."""
        lanes = (self._recv, self._read, self._send, self._peer)
        if self._watch is not None:
            # Fails in a forked child, whose parent the tasks belong to, and if the endpoint is closed.
            self.endpoint.stats()
            if self._watch.has_waiting() and not self._watch.loop.is_closed():
                name = self.endpoint.name
                raise RuntimeError(f"segment '{name}': tasks of another event loop wait for this endpoint")
            self._make_lanes()
            index = lanes.index(lane)
            lanes = (self._recv, self._read, self._send, self._peer)
            lane = lanes[index]
        self._watch = Watch(asyncio.get_running_loop(), lanes)
        return lane, self._watch
