"""TCP sockets: frames of JSON."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

from users_service import json_frames, json_wire
from users_service.clients.base import Deadline, deadline_exceeded, unavailable
from users_service.errors import CallError, Code
from users_service.methods import METHODS, Method
from users_service.servers.context import split_address
from users_service.wire.items_pb2 import EchoRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message

#: Longer than any server's maximum: what it answers is to be read.
_LIMIT = (32 << 20) - 1


class SocketClient:
    """See `Client`; address: HOST:PORT."""

    def __init__(self, address: str) -> None:
        self._address = split_address(address)
        self._peer: socket.socket | None = None
        self._number = 0

    def connect(self) -> None:
        """Connect, unless that has been done."""
        if self._peer is None:
            try:
                self._peer = socket.create_connection(self._address, timeout=10)
            except OSError as error:
                raise unavailable(f"no connection to {self._address[0]}:{self._address[1]}: {error}") from None
            self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._stream = json_frames.open_stream(self._peer)

    def close(self) -> None:
        """Disconnect."""
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._peer.close()
            self._peer = None

    def unary(self, method: Method, request: Message, deadline_ms: int = 0) -> Message:
        """Make a call of one message each way."""
        deadline = Deadline(deadline_ms)
        number = self._begin(method.name, {"params": json_wire.write(request)}, deadline_ms)
        return json_wire.read(method.reply, self._answer(number, deadline)["result"])

    def echo(self, payload: bytes, delay_ms: int = 0, deadline_ms: int = 0) -> bytes:
        """Make the call Items.Echo."""
        reply = self.unary(METHODS["Items.Echo"], EchoRequest(payload=payload, delay_ms=delay_ms), deadline_ms)
        return reply.payload  # type: ignore[attr-defined, no-any-return]

    def stream(self, method: Method, request: Message | None, deadline_ms: int = 0) -> SocketStream:
        """Begin a call that streams."""
        rest = {"more": True} if request is None else {"params": json_wire.write(request)}
        return SocketStream(self, method, self._begin(method.name, rest, deadline_ms), Deadline(deadline_ms))

    def unknown(self, name: str, deadline_ms: int = 0) -> None:
        """Call a method that is not in the contract."""
        self._answer(self._begin(name, {}, deadline_ms), Deadline(deadline_ms))

    def _begin(self, name: str, rest: dict[str, Any], deadline_ms: int) -> int:
        self.connect()
        self._number += 1
        frame = {"id": self._number, "method": name, **rest}
        if deadline_ms:
            frame["deadline_ms"] = deadline_ms
        self._send(frame)
        return self._number

    def _send(self, frame: dict[str, Any]) -> None:
        assert self._peer is not None
        data = json_frames.pack(frame, _LIMIT)
        try:
            self._peer.settimeout(None)
            self._peer.sendall(data)
        except OSError as error:
            self.close()
            raise unavailable(f"the connection broke: {error}") from None

    def _answer(self, number: int, deadline: Deadline) -> dict[str, Any]:
        """Return the next frame of call `number`. Raises the server's error."""
        assert self._peer is not None
        try:
            self._peer.settimeout(deadline.left())
            data = json_frames.read(self._stream, _LIMIT)
        except TimeoutError:
            # What it may have read of the answer is lost.
            self.close()
            raise deadline_exceeded() from None
        except OSError as error:
            self.close()
            raise unavailable(f"the connection broke: {error}") from None
        if data is None:
            self.close()
            raise unavailable("the server closed the connection")
        frame = json_wire.loads(data)
        match frame:
            case {"error": error, "id": found} if found in (number, None):
                raise CallError.from_json(error)
            case {"result": dict(), "id": found} if found == number:
                return frame  # type: ignore[no-any-return]
        self.close()
        raise CallError(Code.INTERNAL, f"the server's answer is not one to call {number}: {data[:200]!r}")


class SocketStream:
    """See `Stream`."""

    def __init__(self, client: SocketClient, method: Method, number: int, deadline: Deadline) -> None:
        self._client, self._method, self._number, self._deadline = client, method, number, deadline
        self._over = False

    def send(self, message: Message) -> None:
        """Send one message."""
        self._deadline.left()
        self._client._send({"id": self._number, "params": json_wire.write(message), "more": True})

    def finish(self) -> None:
        """Say that no message follows."""
        self._client._send({"id": self._number})

    def receive(self) -> Message | None:
        """Return the next message; None: the call is over."""
        if self._over:
            return None
        try:
            frame = self._client._answer(self._number, self._deadline)
        except CallError:
            self._over = True
            raise
        self._over = not frame.get("more")
        if self._over and self._method.server_streams:
            return None
        return json_wire.read(self._method.reply, frame["result"])

    def cancel(self) -> None:
        """End the call, by ending the connection."""
        if not self._over:
            self._over = True
            self._client.close()
