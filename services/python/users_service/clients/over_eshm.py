"""ESHM: the first segment whose seat is free."""

from __future__ import annotations

import collections
import contextlib
import itertools
import secrets
from typing import TYPE_CHECKING

import eshm

from users_service import eshm_frames
from users_service.clients.base import Deadline, unavailable
from users_service.errors import CallError, Code, too_large
from users_service.methods import METHODS
from users_service.wire.eshm_pb2 import Frame
from users_service.wire.items_pb2 import EchoRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from users_service.eshm_frames import Bytes, Incoming, Outgoing
    from users_service.methods import Method

#: How long a wait may last before this looks whether the server is still there, in seconds.
SLICE = 0.05
#: As the server's: a loaded machine is no dead peer.
_HEARTBEAT = 0.01
_STALE = 1.0
_GONE = (eshm.PeerState.CLOSED, eshm.PeerState.DEAD)


class EshmClient:
    """See `Client`; address: the segments' name, without their numbers."""

    def __init__(self, address: str) -> None:
        self._name = address
        self._endpoint: eshm.Endpoint | None = None

    def connect(self) -> None:
        """Take a seat, unless that has been done."""
        if self._endpoint is None:
            self._endpoint = endpoint = self._take_seat()
            self._limit = endpoint.max_message
            self._generation = endpoint.generation
            # So that no answer that is meant for a predecessor is taken for one of ours.
            self._calls = itertools.count((secrets.randbits(32) << 32) + 1)
            self._buffered: collections.deque[Incoming] = collections.deque()
            while endpoint.try_recv() is not None:
                pass

    def _take_seat(self) -> eshm.Endpoint:
        for number in itertools.count():
            try:
                return eshm.Endpoint(
                    f"{self._name}.{number}",
                    role="slave",
                    connect_timeout=0,
                    heartbeat_interval=_HEARTBEAT,
                    stale_threshold=_STALE,
                    disconnect="immediately",
                )
            except eshm.SeatTakenError:
                continue
            except eshm.NotFoundError as error:
                if number == 0:
                    raise unavailable(f"there is no server '{self._name}': {error}") from None
                raise CallError(
                    Code.RESOURCE_EXHAUSTED,
                    f"all {number} segments of '{self._name}' are taken: try again, or start the server with more",
                ) from None
            except eshm.Error as error:
                raise unavailable(error) from None
        raise AssertionError("unreachable: the loop has no end")

    def close(self) -> None:
        """Give the seat up."""
        if self._endpoint is not None:
            self._endpoint.close()
            self._endpoint = None

    def unary(self, method: Method, request: Message, deadline_ms: int = 0) -> Message:
        """Make a call of one message each way."""
        deadline = Deadline(deadline_ms)
        number = self._begin(method.name, request.SerializeToString(), deadline_ms, deadline)
        return method.reply.FromString(self._reply(number, deadline))  # type: ignore[arg-type] # any buffer will do

    def echo(self, payload: bytes, delay_ms: int = 0, deadline_ms: int = 0) -> bytes:
        """Make the call Items.Echo."""
        reply = self.unary(METHODS["Items.Echo"], EchoRequest(payload=payload, delay_ms=delay_ms), deadline_ms)
        return reply.payload  # type: ignore[attr-defined, no-any-return]

    def stream(self, method: Method, request: Message | None, deadline_ms: int = 0) -> EshmStream:
        """Begin a call that streams."""
        deadline = Deadline(deadline_ms)
        body = b"" if request is None else request.SerializeToString()
        return EshmStream(self, method, self._begin(method.name, body, deadline_ms, deadline), deadline)

    def unknown(self, name: str, deadline_ms: int = 0) -> None:
        """Call a method that is not in the contract."""
        deadline = Deadline(deadline_ms)
        self._reply(self._begin(name, b"", deadline_ms, deadline), deadline)

    def _begin(self, name: str, body: bytes, deadline_ms: int, deadline: Deadline) -> int:
        number = self._next_call()
        self._send(eshm_frames.request(number, name, body, deadline_ms), number, deadline)
        return number

    def _next_call(self) -> int:
        # A server that was restarted since the last call has forgotten this seat.
        if self._endpoint is not None and self._endpoint.generation != self._generation:
            self.close()
        self.connect()
        self._buffered.clear()
        return next(self._calls)

    def _reply(self, number: int, deadline: Deadline) -> Bytes:
        """Return the reply of call `number`, which may come in pieces. Raises the server's error."""
        pieces: list[Bytes] = []
        while (incoming := self._receive(number, deadline)).frame.kind != Frame.END:
            pieces.append(incoming.body)
        return b"".join([*pieces, incoming.body]) if pieces else incoming.body

    def _send(self, frame: Outgoing, number: int, deadline: Deadline) -> None:
        """Send a frame; while there is no room for it, take answers in: their sender may be waiting for room, too."""
        assert self._endpoint is not None
        if len(frame) > self._limit:
            raise too_large(len(frame), self._limit)
        while True:
            try:
                self._put(frame)
            except eshm.TimeoutError:
                self._look_up(number, deadline)
                while (answer := self._endpoint.try_recv()) is not None:
                    self._buffered.append(eshm_frames.parse(answer))
            except eshm.Error as error:
                raise self._lost(error) from None
            else:
                return

    def _put(self, frame: Outgoing) -> None:
        assert self._endpoint is not None
        eshm_frames.put(self._endpoint, frame, SLICE)

    def _receive(self, number: int, deadline: Deadline) -> Incoming:
        """Return the next frame of call `number`. Raises the server's error."""
        while True:
            incoming = self._buffered.popleft() if self._buffered else self._wait(number, deadline)
            if incoming.frame.call == number:
                error = eshm_frames.status_error(incoming.frame)
                if error is not None:
                    raise error
                return incoming

    def _wait(self, number: int, deadline: Deadline) -> Incoming:
        assert self._endpoint is not None
        while True:
            left = deadline.left()
            try:
                return eshm_frames.parse(self._endpoint.recv(SLICE if left is None else min(left, SLICE)))
            except eshm.TimeoutError:
                self._look_up(number, deadline)
            except eshm.Error as error:
                raise self._lost(error) from None

    def _look_up(self, number: int, deadline: Deadline) -> None:
        """Raise DEADLINE_EXCEEDED, or UNAVAILABLE when the server has gone."""
        assert self._endpoint is not None
        if self._endpoint.peer_state in _GONE or self._endpoint.generation != self._generation:
            raise self._lost("the server left during the call")
        try:
            deadline.left()
        except CallError:
            self._cancel(number)
            raise

    def _lost(self, why: object) -> CallError:
        self.close()
        return unavailable(f"no answer through '{self._name}': {why}")

    def _cancel(self, number: int) -> None:
        # Where there is no room, the next REQUEST will say it.
        if self._endpoint is not None:
            with contextlib.suppress(eshm.Error):
                self._endpoint.try_send(eshm_frames.cancel(number))


class EshmStream:
    """See `Stream`."""

    def __init__(self, client: EshmClient, method: Method, number: int, deadline: Deadline) -> None:
        self._client, self._method, self._number, self._deadline = client, method, number, deadline
        self._over = False

    def send(self, message: Message) -> None:
        """Send one message."""
        body = message.SerializeToString()
        self._client._send(eshm_frames.message(self._number, body), self._number, self._deadline)

    def finish(self) -> None:
        """Say that no message follows."""
        self._client._send(eshm_frames.end(self._number), self._number, self._deadline)

    def receive(self) -> Message | None:
        """Return the next message; None: the call is over."""
        if self._over:
            return None
        try:
            incoming = self._client._receive(self._number, self._deadline)
        except CallError:
            self._over = True
            raise
        self._over = incoming.frame.kind == Frame.END
        if self._over and self._method.server_streams:
            return None
        return self._method.reply.FromString(incoming.body)  # type: ignore[arg-type] # any buffer will do

    def cancel(self) -> None:
        """End the call."""
        if not self._over:
            self._over = True
            self._client._cancel(self._number)
