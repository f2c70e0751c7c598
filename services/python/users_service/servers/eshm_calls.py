"""The calls of one client, one after the other, in a thread."""

from __future__ import annotations

import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import eshm

from users_service import eshm_frames
from users_service.call import Call
from users_service.errors import CallError, Code, as_call_error, too_large
from users_service.methods import Method, method
from users_service.wire.eshm_pb2 import Frame

if TYPE_CHECKING:
    from users_service.eshm_frames import Bytes, Incoming, Outgoing
    from users_service.servers.context import Context

#: How long a wait for the client may last before this looks whether it is still there, in seconds.
SLICE = 0.2
_GONE = (eshm.PeerState.CLOSED, eshm.PeerState.DEAD)


class StoppingError(Exception):
    """The server is told to stop; the client sees its segment closed."""


class _DroppedError(Exception):
    """The client does not want to know the rest of its call."""


class ClientCalls:
    """Serves the clients of one segment; those of a new generation are served on the way."""

    #: In the log.
    transport = "eshm"

    def __init__(self, context: Context, endpoint: eshm.Endpoint) -> None:
        self._context = context
        self._endpoint = endpoint
        self._limit = min(endpoint.max_message, context.max_message)
        # A request that ended the call before it.
        self._ahead: Incoming | None = None

    def serve(self, first: bytes) -> None:
        """Answer calls until the client is gone, which raises what the endpoint raises, or StoppingError."""
        incoming = self._parse(first)
        while True:
            if incoming is not None and incoming.frame.kind == Frame.REQUEST:
                self._one_call(*incoming)
            incoming, self._ahead = self._ahead, None
            if incoming is None:
                incoming = self._parse(self._receive(None))

    def _receive(self, call: Call | None) -> bytes:
        """Return the next message, of whatever call.

        Raises PeerClosedError or PeerStaleError when the client is gone, DEADLINE_EXCEEDED of `call`.
        """
        while True:
            try:
                return self._endpoint.recv(SLICE if call is None else call.allowed(SLICE))
            except eshm.TimeoutError:
                self._look_up(call)

    def _look_up(self, call: Call | None) -> None:
        if call is not None:
            call.check()
        elif self._context.stopping.is_set():
            raise StoppingError
        if self._endpoint.peer_state in _GONE:
            raise eshm.PeerClosedError(f"the client of segment '{self._endpoint.name}' is gone")

    def _parse(self, data: bytes) -> Incoming | None:
        """Return the frame in a message; answer what is none, or is too long."""
        try:
            if len(data) > self._limit:
                raise too_large(len(data), self._limit)
            return eshm_frames.parse(data)
        except CallError as error:
            number = eshm_frames.call_number(data)
            if number is not None:
                self._end(number, error=error)
            return None

    def _one_call(self, frame: Frame, body: Bytes) -> None:
        began = time.perf_counter()
        code = Code.OK
        call = Call(frame.deadline_ms, self._context.stopping, partial(self._listen, frame.call))
        try:
            self._answer(frame.call, method(frame.method), body, call)
        except _DroppedError:
            code = Code.CANCELLED
        except (eshm.Error, StoppingError):
            raise
        except Exception as exception:
            error = as_call_error(exception)
            code = error.code
            self._end(frame.call, error=error)
        self._context.note(self.transport, frame.method, code, began)

    def _answer(self, number: int, method: Method, body: Bytes, call: Call) -> None:
        if method.client_streams:
            self._converse(number, method, call)
            return
        reply = self._context.service.handlers[method.name](method.parse(body), call)
        if not method.server_streams:
            self._reply(number, reply.SerializeToString(), call)
            return
        for message in reply:
            self._send(eshm_frames.message(number, message.SerializeToString()), number, call)
            incoming = self._endpoint.try_recv()
            if incoming is not None:
                self._heed(number, self._parse(incoming))
        self._end(number, call=call)

    def _reply(self, number: int, body: bytes, call: Call) -> None:
        """Send the reply, which ends call `number`; in pieces, if the queue is too small for it."""
        if len(body) > self._context.max_message:
            raise too_large(len(body), self._context.max_message, "reply")
        *pieces, last = eshm_frames.reply(number, body, self._endpoint.max_message)
        for piece in pieces:
            self._send(piece, number, call)
            incoming = self._endpoint.try_recv()
            if incoming is not None:
                self._heed(number, self._parse(incoming))
        self._send(last, number, call)

    def _converse(self, number: int, method: Method, call: Call) -> None:
        conversation = self._context.service.conversations[method.name](call)
        while True:
            incoming = self._parse(self._receive(call))
            self._heed(number, incoming)
            if incoming is None or incoming.frame.call != number:
                continue
            if incoming.frame.kind == Frame.END:
                break
            if incoming.frame.kind == Frame.MESSAGE:
                answer = conversation.take(method.parse(incoming.body))
                if answer is not None:
                    self._send(eshm_frames.message(number, answer.SerializeToString()), number, call)
        reply = conversation.finish()
        self._end(number, b"" if reply is None else reply.SerializeToString(), call=call)

    def _listen(self, number: int, seconds: float) -> None:
        """Wait, but not longer than the client wants call `number`."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            try:
                self._heed(number, self._parse(self._endpoint.recv(min(left, SLICE))))
            except eshm.TimeoutError:
                self._look_up(None)

    def _heed(self, number: int, incoming: Incoming | None) -> None:
        """Raise _DroppedError when a frame ends call `number`."""
        if incoming is None:
            return
        if incoming.frame.kind == Frame.REQUEST:
            self._ahead = incoming
            raise _DroppedError
        if incoming.frame.kind == Frame.CANCEL and incoming.frame.call == number:
            raise _DroppedError

    def _end(self, number: int, body: Bytes = b"", *, error: CallError | None = None, call: Call | None = None) -> None:
        self._send(eshm_frames.end(number, body, error), number, call)

    def _send(self, frame: Outgoing, number: int, call: Call | None) -> None:
        """Send a frame of call `number`. RESOURCE_EXHAUSTED when it is too long; raises what `_receive` does, too."""
        if len(frame) > self._limit:
            raise too_large(len(frame), self._limit, "reply")
        while True:
            try:
                self._put(frame)
            except eshm.TimeoutError:
                self._look_up(call)
                # What is no frame is not answered here: that would wait for room, too.
                with contextlib.suppress(CallError):
                    incoming = self._endpoint.try_recv()
                    if incoming is not None:
                        self._heed(number, eshm_frames.parse(incoming))
            else:
                return

    def _put(self, frame: Outgoing) -> None:
        eshm_frames.put(self._endpoint, frame, SLICE)
