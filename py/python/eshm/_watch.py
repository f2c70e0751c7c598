"""How tasks of an event loop wait for the event descriptor of an endpoint.

A task attempts its call. While the call would wait, the task has a place in the lane of its kind of call. The
first task of each lane attempts again whenever the descriptor is readable. Nothing is awaited between an
attempt and its return, so a wait that is cancelled has taken nothing.

The descriptor stays registered with the loop between two waits, since registering it takes a system call. It
is removed when it is readable and nobody waits.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextvars import Context

    from eshm._eshm import Endpoint, Events

#: How often waiting tasks look whether a message that another task has borrowed is released, in seconds.
_LOOK = 0.001


class Place:
    """The place of a task in a lane, which the task awaits.

    `asyncio` takes it for a future (see `asyncio.isfuture`). Unlike one, it wakes its task at once, without
    another turn of the loop, and may be awaited again.
    """

    __slots__ = ("_asyncio_future_blocking", "_callback", "_cancelled", "_context", "_loop", "is_held")

    def __init__(self, loop: asyncio.AbstractEventLoop, is_held: Callable[[], bool] | None) -> None:
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._cancelled: asyncio.CancelledError | None = None
        self._context: Context | None = None
        self._loop = loop
        #: Whether an attempt has to be put off.
        self.is_held = is_held

    def __await__(self) -> Generator[Any, None, None]:
        """Return when the task is woken."""
        self._asyncio_future_blocking = True
        yield self

    def wake(self) -> None:
        """Run the task until it awaits something. No task is running."""
        callback, self._callback = self._callback, None
        if callback is not None:
            cast("Context", self._context).run(callback, self)

    # What a task calls.

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the task."""
        return self._loop

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        """Take note of what wakes the task."""
        self._callback, self._context = callback, context

    def cancel(self, msg: object = None) -> bool:
        """Wake the task with a cancellation. Return whether it was not woken already."""
        callback, self._callback = self._callback, None
        if callback is None:
            return False
        self._cancelled = asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg)
        self._loop.call_soon(callback, self, context=self._context)
        return True

    def done(self) -> bool:
        """Return whether the task is woken."""
        return self._callback is None

    def result(self) -> None:
        """Raise the cancellation, if there was one."""
        if self._cancelled is not None:
            # Kept, it would refer to itself by way of its traceback.
            try:
                raise self._cancelled
            finally:
                self._cancelled = None


class Lane:
    """The tasks that wait in one kind of call, in the order of their calls."""

    __slots__ = ("interest", "places", "streak")

    def __init__(self, interest: int) -> None:
        #: What its calls wait for.
        self.interest = interest
        self.places: deque[Place] = deque()
        #: How many calls in succession had no need to wait.
        self.streak = 0

    def leave(self, place: Place) -> None:
        """Give up a place."""
        if self.places[0] is place:
            self.places.popleft()
        else:
            self.places.remove(place)

    def serve(self) -> None:
        """Have the tasks attempt again, until one of them has to wait on."""
        # Those that join meanwhile have attempted, or are behind one that has not.
        for _ in range(len(self.places)):
            head = self.places[0]
            head.wake()
            if not self.places or self.places[0] is head:
                return


class Watch:
    """The event descriptor of an endpoint, and the tasks of one event loop that wait for it.

    The loop keeps it while the descriptor is registered. It does not keep the endpoint.
    """

    __slots__ = ("_events", "_fd", "_interest", "_is_paused", "_is_registered", "calls", "lanes", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, lanes: tuple[Lane, ...]) -> None:
        self._events: Events | None = None
        self._fd = -1
        self._interest = 0
        self._is_registered = False
        self._is_paused = False
        self.lanes = lanes
        self.loop = loop
        #: How often the descriptor was found readable.
        self.calls = 0

    def has_waiting(self) -> bool:
        """Return whether a task waits."""
        return any(lane.places for lane in self.lanes)

    def prepare(self, endpoint: Endpoint, interest: int) -> Events | None:
        """Have the descriptor be readable for this interest, too, and the loop watch it.

        Return it if its interest was changed: attempt again then, which arms it.
        """
        changed = None
        if not self._interest & interest:
            self._interest = self._waited_for() | interest
            if self._events is None:
                self._events = endpoint.events(self._interest)
            else:
                self._events._select(self._interest)
            changed = self._events
        if not self._is_registered and not self._is_paused:
            self._register()
        return changed

    def _register(self) -> None:
        assert self._events is not None  # noqa: S101 - only tasks that have called `prepare` wait
        self._fd = self._events.fileno()
        self.loop.add_reader(self._fd, self._on_readable)
        self._is_registered = True

    def _unregister(self) -> None:
        if self._is_registered:
            self._is_registered = False
            self.loop.remove_reader(self._fd)

    def _waited_for(self) -> int:
        interest = 0
        for lane in self.lanes:
            if lane.places:
                interest |= lane.interest
        return interest

    def _on_readable(self) -> None:
        self.calls += 1
        waited_for = self._waited_for()
        if self._interest & ~waited_for:
            if not waited_for:
                self._unregister()
                return
            # Otherwise it stays readable for what nobody takes.
            self._interest = waited_for
            cast("Events", self._events)._select(waited_for)
        for lane in self.lanes:
            if lane.places:
                is_held = lane.places[0].is_held
                if is_held is not None and is_held():
                    self._pause()
                else:
                    lane.serve()

    def stir(self) -> None:
        """Have all tasks attempt again: an attempt that failed may have read what was for them."""
        if self.has_waiting():
            self.loop.call_soon(self._on_readable)

    def _pause(self) -> None:
        """Look again later, since the descriptor stays readable."""
        if not self._is_paused:
            self._is_paused = True
            self._unregister()
            self.loop.call_later(_LOOK, self._resume)

    def _resume(self) -> None:
        self._is_paused = False
        if self.has_waiting():
            self._register()
            self._on_readable()
