"""The calls of the clients of one segment, one after the other, in an event loop: `eshm_calls` without a thread."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import eshm

from users_service import eshm_frames
from users_service.call import deadline_error, stopping_error
from users_service.errors import CallError, Code, as_call_error, too_large
from users_service.methods import Method, method
from users_service.service import checked_delay
from users_service.wire.eshm_pb2 import Frame
from users_service.wire.items_pb2 import EchoReply

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from users_service.call import Call
    from users_service.eshm_frames import Bytes, Incoming, Outgoing
    from users_service.servers.context import Context

#: How long a wait for room may last before this looks whether the client has dropped its call, in seconds.
_SLICE = 0.2


class _DroppedError(Exception):
    """The client does not want to know the rest of its call."""


class ClientTask:
    """Serves the clients of one segment; those of a new generation are served on the way."""

    #: In the log.
    transport = "eshm"

    def __init__(self, context: Context, endpoint: eshm.AsyncEndpoint) -> None:
        self._context = context
        self._endpoint = endpoint
        self._max_message = endpoint.endpoint.max_message
        self._limit = min(self._max_message, context.max_message)
        # A request that ended the call before it.
        self._ahead: Incoming | None = None

    async def serve(self) -> None:
        """Answer calls until the client is gone, which raises what the endpoint raises."""
        self._ahead = None
        while True:
            incoming, self._ahead = self._ahead, None
            if incoming is None:
                incoming = await self._parse(await self._endpoint.recv())
            if incoming is not None and incoming.frame.kind == Frame.REQUEST:
                await self._one_call(*incoming)

    async def _parse(self, data: bytes) -> Incoming | None:
        """Return the frame in a message; answer what is none, or is too long."""
        try:
            if len(data) > self._limit:
                raise too_large(len(data), self._limit)
            return eshm_frames.parse(data)
        except CallError as error:
            number = eshm_frames.call_number(data)
            if number is not None:
                await self._end(number, error=error)
            return None

    async def _one_call(self, frame: Frame, body: Bytes) -> None:
        began = time.perf_counter()
        code = Code.OK
        try:
            await self._answer(frame.call, method(frame.method), body, self._context.begin(frame.deadline_ms))
        except _DroppedError:
            code = Code.CANCELLED
        except eshm.Error:
            raise
        except asyncio.CancelledError:
            # Where there is no room, the client sees its segment closed.
            with contextlib.suppress(eshm.Error):
                last = eshm_frames.end(frame.call, error=stopping_error())
                self._endpoint.try_send(last.head + last.tail)
            raise
        except Exception as exception:
            error = as_call_error(exception)
            code = error.code
            await self._end(frame.call, error=error)
        self._context.note(self.transport, frame.method, code, began)

    async def _answer(self, number: int, method: Method, body: Bytes, call: Call) -> None:
        if method.client_streams:
            await self._converse(number, method, call)
            return
        request = method.parse(body)
        if method.name == "Items.Echo":
            await self._reply(number, await self._echo(number, request, call), call)
            return
        reply = self._context.service.handlers[method.name](request, call)
        if not method.server_streams:
            await self._reply(number, reply, call)
            return
        for message in reply:
            await self._send(eshm_frames.message(number, message.SerializeToString()), number, call)
            await self._look_up(number)
        await self._end(number, call=call)

    async def _echo(self, number: int, request: Message, call: Call) -> Message:
        """Do what `service.echo` does, and let other clients be served meanwhile."""
        delay = checked_delay(request.delay_ms)  # type: ignore[attr-defined]
        allowed = call.allowed(delay)
        if delay:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(allowed):
                    while True:
                        await self._heed(number, await self._parse(await self._endpoint.recv()))
        call.check()
        if allowed < delay:
            # Whatever the clock says: a wait may end a moment early.
            raise deadline_error()
        return EchoReply(payload=request.payload)  # type: ignore[attr-defined]

    async def _reply(self, number: int, reply: Message, call: Call) -> None:
        """Send the reply, which ends call `number`; in pieces, if the queue is too small for it."""
        body = reply.SerializeToString()
        if len(body) > self._context.max_message:
            raise too_large(len(body), self._context.max_message, "reply")
        *pieces, last = eshm_frames.reply(number, body, self._max_message)
        for piece in pieces:
            await self._send(piece, number, call)
            await self._look_up(number)
        await self._send(last, number, call)

    async def _converse(self, number: int, method: Method, call: Call) -> None:
        conversation = self._context.service.conversations[method.name](call)
        while True:
            incoming = await self._parse(await self._receive(call))
            await self._heed(number, incoming)
            if incoming is None or incoming.frame.call != number:
                continue
            if incoming.frame.kind == Frame.END:
                break
            if incoming.frame.kind == Frame.MESSAGE:
                answer = conversation.take(method.parse(incoming.body))
                if answer is not None:
                    await self._send(eshm_frames.message(number, answer.SerializeToString()), number, call)
        reply = conversation.finish()
        await self._end(number, b"" if reply is None else reply.SerializeToString(), call=call)

    async def _receive(self, call: Call) -> bytes:
        """Return the next message, of whatever call. DEADLINE_EXCEEDED of `call`."""
        try:
            async with asyncio.timeout(call.left()):
                return await self._endpoint.recv()
        except TimeoutError:
            raise deadline_error() from None

    async def _look_up(self, number: int) -> None:
        """Take note of what the client has said while it is answered."""
        incoming = self._endpoint.try_recv()
        if incoming is not None:
            await self._heed(number, await self._parse(incoming))

    async def _heed(self, number: int, incoming: Incoming | None) -> None:
        """Raise _DroppedError when a frame ends call `number`."""
        if incoming is None:
            return
        if incoming.frame.kind == Frame.REQUEST:
            self._ahead = incoming
            raise _DroppedError
        if incoming.frame.kind == Frame.CANCEL and incoming.frame.call == number:
            raise _DroppedError

    async def _end(
        self, number: int, body: Bytes = b"", *, error: CallError | None = None, call: Call | None = None
    ) -> None:
        await self._send(eshm_frames.end(number, body, error), number, call)

    async def _send(self, frame: Outgoing, number: int, call: Call | None) -> None:
        """Send a frame of call `number`. RESOURCE_EXHAUSTED when it is too long; raises what `_receive` does, too."""
        if len(frame) > self._limit:
            raise too_large(len(frame), self._limit, "reply")
        while True:
            try:
                async with asyncio.timeout(_SLICE if call is None else call.allowed(_SLICE)):
                    await eshm_frames.put_async(self._endpoint, frame)
            except TimeoutError:
                if call is not None:
                    call.check()
                # What is no frame is not answered here: that would wait for room, too.
                with contextlib.suppress(CallError):
                    incoming = self._endpoint.try_recv()
                    if incoming is not None:
                        await self._heed(number, eshm_frames.parse(incoming))
            else:
                return
