"""gRPC."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

import grpc

from users_service.errors import CallError, Code
from users_service.methods import METHODS, PACKAGE, Method
from users_service.wire.items_pb2 import EchoRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

_OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A client of its own is a connection of its own.
    ("grpc.use_local_subchannel_pool", 1),
    # A server that comes back is found within a moment.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),
)


class GrpcClient:
    """See `Client`; address: HOST:PORT."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.Channel | None = None
        self._callables: dict[str, Any] = {}

    def connect(self) -> None:
        """Connect: the first call does that, so ask for the server's health."""
        check: Any = self._opened().unary_unary("/grpc.health.v1.Health/Check", None, None)
        try:
            check(b"", timeout=10)
        except grpc.RpcError as error:
            self.close()
            raise _call_error(error) from None

    def close(self) -> None:
        """Disconnect."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self._callables.clear()

    def unary(self, method: Method, request: Message, deadline_ms: int = 0) -> Message:
        """Make a call of one message each way."""
        try:
            return self._callable(method)(request, timeout=_seconds(deadline_ms))  # type: ignore[no-any-return]
        except grpc.RpcError as error:
            raise _call_error(error) from None

    def echo(self, payload: bytes, delay_ms: int = 0, deadline_ms: int = 0) -> bytes:
        """Make the call Items.Echo."""
        reply = self.unary(METHODS["Items.Echo"], EchoRequest(payload=payload, delay_ms=delay_ms), deadline_ms)
        return reply.payload  # type: ignore[attr-defined, no-any-return]

    def stream(self, method: Method, request: Message | None, deadline_ms: int = 0) -> GrpcStream:
        """Begin a call that streams."""
        return GrpcStream(self._callable(method), method, request, _seconds(deadline_ms))

    def unknown(self, name: str, deadline_ms: int = 0) -> None:
        """Call a method that is not in the contract."""
        channel = self._opened()
        call: Any = channel.unary_unary(f"/{PACKAGE}.{name.replace('.', '/')}", None, None)
        try:
            call(b"", timeout=_seconds(deadline_ms))
        except grpc.RpcError as error:
            raise _call_error(error) from None

    def _opened(self) -> grpc.Channel:
        if self._channel is None:
            self._channel = grpc.insecure_channel(self._address, _OPTIONS)
        return self._channel

    def _callable(self, method: Method) -> Any:
        found = self._callables.get(method.name)
        if found is None:
            channel = self._opened()
            sides = (
                "stream" if method.client_streams else "unary",
                "stream" if method.server_streams else "unary",
            )
            make = getattr(channel, "_".join(sides))
            found = make(method.grpc_path, method.request.SerializeToString, method.reply.FromString)
            self._callables[method.name] = found
        return found


class GrpcStream:
    """See `Stream`."""

    def __init__(self, start: Any, method: Method, request: Message | None, timeout: float | None) -> None:
        self._method = method
        self._questions: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        first = self._outgoing() if request is None else request
        # What streams in one direction only has one reply, which the future holds.
        self._call = start(first, timeout=timeout) if method.server_streams else start.future(first, timeout=timeout)
        self._over = False

    def _outgoing(self) -> Iterator[Message]:
        while (message := self._questions.get()) is not None:
            yield message

    def send(self, message: Message) -> None:
        """Send one message."""
        if self._call.done():
            self.receive()
        self._questions.put(message)

    def finish(self) -> None:
        """Say that no message follows."""
        self._questions.put(None)

    def receive(self) -> Message | None:
        """Return the next message; None: the call is over."""
        if self._over:
            return None
        try:
            if self._method.server_streams:
                message: Message | None = next(self._call, None)
                self._over = message is None
                return message
            self._over = True
            return self._call.result()  # type: ignore[no-any-return]
        except grpc.RpcError as error:
            self._over = True
            self._questions.put(None)
            raise _call_error(error) from None

    def cancel(self) -> None:
        """End the call."""
        self._questions.put(None)
        self._call.cancel()


def _seconds(deadline_ms: int) -> float | None:
    return deadline_ms / 1000 if deadline_ms else None


def _call_error(error: Any) -> CallError:
    code = Code.of(error.code().value[0])
    what = "" if code is not Code.INTERNAL else f"gRPC says {error.code().name}: "
    return CallError(code, f"{what}{error.details()}")
