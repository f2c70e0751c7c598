"""The calls of one client in one segment, one after the other."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import eshm

from users_service import eshm_frames
from users_service.call import stopping_error
from users_service.errors import CallError, Code, as_call_error, too_large
from users_service.methods import Method, method
from users_service.wire.eshm_pb2 import Frame

if TYPE_CHECKING:
    from users_service.call import Call
    from users_service.servers.context import Context

#: How long a wait for the client may last before this looks whether it is still there, in seconds.
_SLICE = 0.2
_GONE = (eshm.PeerState.CLOSED, eshm.PeerState.DEAD)


class _DroppedError(Exception):
    """The client does not want to know the rest of its call."""


class ClientCalls:
    """Serves the clients of one segment; those of a new generation are served on the way."""

    def __init__(self, context: Context, endpoint: eshm.Endpoint) -> None:
        self._context = context
        self._endpoint = endpoint
        self._limit = min(endpoint.max_message, context.max_message)
        # A request that ended the call before it.
        self._ahead: Frame | None = None

    def serve(self, first: eshm.Message) -> None:
        """Answer calls until the client is gone, which raises what the endpoint raises."""
        frame = self._frame(first)
        while True:
            if frame is not None and frame.kind == Frame.REQUEST:
                self._one_call(frame)
            frame, self._ahead = self._ahead, None
            if frame is None:
                frame = self._frame(self._receive(None))

    def _receive(self, call: Call | None) -> bytes:
        """Return the next message, of whatever call.

        Raises PeerClosedError or PeerStaleError when the client is gone, DEADLINE_EXCEEDED of `call`.
        """
        while True:
            try:
                return self._endpoint.recv(_SLICE)
            except eshm.TimeoutError:
                self._look_up(call)

    def _look_up(self, call: Call | None) -> None:
        if call is not None:
            call.check()
        elif self._context.stopping.is_set():
            raise eshm.ClosedError(stopping_error().message)
        if self._endpoint.peer_state in _GONE:
            raise eshm.PeerClosedError(f"the client of segment '{self._endpoint.name}' is gone")

    def _frame(self, data: bytes) -> Frame | None:
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

    def _one_call(self, frame: Frame) -> None:
        began = time.perf_counter()
        code = Code.OK
        call = self._context.begin(frame.deadline_ms)
        try:
            self._answer(frame, method(frame.method), call)
        except _DroppedError:
            code = Code.CANCELLED
        except eshm.Error:
            raise
        except Exception as exception:
            error = as_call_error(exception)
            code = error.code
            self._end(frame.call, error=error)
        self._context.note("eshm", frame.method, code, began)

    def _answer(self, frame: Frame, method: Method, call: Call) -> None:
        if method.client_streams:
            self._converse(frame.call, method, call)
            return
        reply = self._context.service.handlers[method.name](method.parse(frame.body), call)
        if not method.server_streams:
            self._end(frame.call, reply.SerializeToString(), call=call)
            return
        for message in reply:
            self._send(eshm_frames.message(frame.call, message.SerializeToString()), frame.call, call)
            incoming = self._endpoint.try_recv()
            if incoming is not None:
                self._heed(frame.call, self._frame(incoming))
        self._end(frame.call, call=call)

    def _converse(self, number: int, method: Method, call: Call) -> None:
        conversation = self._context.service.conversations[method.name](call)
        while True:
            frame = self._frame(self._receive(call))
            self._heed(number, frame)
            if frame is None or frame.call != number:
                continue
            if frame.kind == Frame.END:
                break
            if frame.kind == Frame.MESSAGE:
                answer = conversation.take(method.parse(frame.body))
                if answer is not None:
                    self._send(eshm_frames.message(number, answer.SerializeToString()), number, call)
        reply = conversation.finish()
        self._end(number, b"" if reply is None else reply.SerializeToString(), call=call)

    def _heed(self, number: int, frame: Frame | None) -> None:
        """Raise _DroppedError when a frame ends call `number`."""
        if frame is None:
            return
        if frame.kind == Frame.REQUEST:
            self._ahead = frame
            raise _DroppedError
        if frame.kind == Frame.CANCEL and frame.call == number:
            raise _DroppedError

    def _end(self, number: int, body: bytes = b"", *, error: CallError | None = None, call: Call | None = None) -> None:
        self._send(eshm_frames.end(number, body, error), number, call)

    def _send(self, data: bytes, number: int, call: Call | None) -> None:
        """Send a frame of call `number`. RESOURCE_EXHAUSTED when it is too long; raises what `_receive` does, too."""
        if len(data) > self._limit:
            raise too_large(len(data), self._limit, "reply")
        while True:
            try:
                self._endpoint.send(data, _SLICE)
            except eshm.TimeoutError:
                self._look_up(call)
                incoming = self._endpoint.try_recv()
                if incoming is not None:
                    self._heed(number, self._frame(incoming))
            else:
                return
