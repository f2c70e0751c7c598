"""An adapter: `eshm.AsyncEndpoint` with the calls of `eshm.Endpoint`, so that every scenario can use it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

import eshm

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from typing_extensions import Buffer, Self

_T = TypeVar("_T")


class Endpoint:
    """An endpoint whose every wait is awaited in an event loop, and cancelled when its time is over.

    What never waits, and what AsyncEndpoint does not have, is called on the endpoint itself.
    """

    def __init__(self, name: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._aio = self._loop.run_until_complete(eshm.AsyncEndpoint.open(name, **options))

    def __getattr__(self, name: str) -> Any:
        """Return what the endpoint itself has."""
        return getattr(self._aio.endpoint, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._aio.close()
        self._loop.close()

    def wait_for_peer(self, timeout: float | None = None) -> None:
        self._within(timeout, self._aio.wait_for_peer())

    def send(self, data: Buffer, timeout: float | None = None) -> None:
        self._within(timeout, self._aio.send(data))

    def recv(self, timeout: float | None = None) -> eshm.Message:
        if timeout == 0:
            return self._aio.endpoint.recv(0)
        return self._within(timeout, self._aio.recv())

    def read(self, timeout: float | None = None) -> eshm.Message:
        if timeout == 0:
            return self._aio.endpoint.read(0)
        return self._within(timeout, self._aio.read())

    def send_many(self, messages: Sequence[Buffer], timeout: float | None = None) -> None:
        """Send all of them: the exception says how many were sent."""
        if timeout == 0:
            self._aio.endpoint.send_many(messages, 0)
        else:
            self._within(timeout, self._aio.send_many(messages))

    def recv_many(self, most: int, timeout: float | None = None) -> list[eshm.Message]:
        """Await a message, and take those that are there as well."""
        if timeout == 0:
            return self._aio.endpoint.recv_many(most, 0)
        return self._within(timeout, self._aio.recv_many(most))

    def borrow(self, timeout: float | None = None) -> eshm.Borrowed:
        """Await a message, and keep it where it lies."""
        if timeout == 0:
            return self._aio.endpoint.borrow(0)
        return self._within(timeout, self._aio.borrow())

    def loan(self, size: int, timeout: float | None = None) -> eshm.Loan:
        """Await room for a message."""
        if timeout == 0:
            return self._aio.endpoint.loan(size, 0)
        return self._within(timeout, self._aio.loan(size))

    def send_each(self, messages: Iterable[Buffer], timeout: float | None = None) -> None:
        """Send one at a time, without leaving the event loop in between."""
        self._within(timeout, self._send_each(messages))

    def recv_each(self, count: int, timeout: float | None = None) -> list[eshm.Message]:
        """Receive so many, one at a time, without leaving the event loop in between."""
        return self._within(timeout, self._recv_each(count))

    async def _send_each(self, messages: Iterable[Buffer]) -> None:
        for message in messages:
            await self._aio.send(message)

    async def _recv_each(self, count: int) -> list[eshm.Message]:
        return [await self._aio.recv() for _ in range(count)]

    def _within(self, timeout: float | None, call: Coroutine[Any, Any, _T]) -> _T:
        return self._loop.run_until_complete(self._limited(timeout, call))

    async def _limited(self, timeout: float | None, call: Coroutine[Any, Any, _T]) -> _T:
        """Await a call; cancel it when the time is over."""
        task = asyncio.current_task()
        assert task is not None
        timer = None if timeout is None else self._loop.call_later(timeout, task.cancel)
        try:
            return await call
        except asyncio.CancelledError as cancelled:
            error = eshm.TimeoutError(f"segment '{self.name}': it took longer than {timeout} s")
            error.sent = getattr(cancelled, "sent", 0)
            raise error from None
        finally:
            if timer is not None:
                timer.cancel()
