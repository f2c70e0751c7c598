"""TCP: frames of JSON, or lines of plain text; a thread per connection."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from users_service import json_frames, json_wire
from users_service.errors import CallError, Code, as_call_error, invalid, log
from users_service.methods import Method, method
from users_service.servers.context import split_address

if TYPE_CHECKING:
    from io import BufferedReader

    from users_service.servers.context import Context
    from users_service.service import Conversation

#: In milliseconds: what fits the other transports' fields, too.
_LONGEST_DEADLINE = 0xFFFF_FFFF
_FRAME_STARTS = (0, 1)
_TEXT_STARTS = frozenset({9, 10, 13, *range(32, 127), *range(128, 256)})


class SocketServer:
    """Serves sockets from its construction on, until `stop`.

    listen: HOST:PORT; port 0 is any free one. Raises OSError when it cannot be had.
    """

    def __init__(self, context: Context, listen: str) -> None:
        self._context = context
        self._listener, self.address = self._bind(listen)
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="socket", daemon=True)
        self._acceptor.start()

    def _bind(self, listen: str) -> tuple[socket.socket, str]:
        """Return what listens, and where that is."""
        host, port = split_address(listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=256)
        return listener, _format(listener.getsockname())

    def _talk(self, peer: socket.socket) -> None:
        """Serve one connection until its client goes."""
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with json_frames.open_stream(peer) as stream:
            _Connection(self._context, peer, stream).run()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError as error:
                if self._context.stopping.is_set():
                    return
                # Out of file descriptors, most likely: some connection will end.
                log.warning("a connection could not be accepted: %s", error)
                self._context.stopping.wait(0.1)
                continue
            thread = threading.Thread(target=self._serve, args=(peer,), name="socket peer", daemon=True)
            with self._lock:
                self._open[peer] = thread
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        try:
            self._talk(peer)
        except OSError:
            pass  # The client has gone, and with it the interest in its call.
        finally:
            with self._lock:
                self._open.pop(peer)
            peer.close()

    def stop(self) -> None:
        """End all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join()
        with self._lock:
            left = list(self._open.items())
            for peer, _ in left:
                # Under the lock: whoever closes it takes it out first.
                with contextlib.suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
        for _, thread in left:
            thread.join()


class _Connection:
    """One client's connection, which carries one call at a time."""

    def __init__(self, context: Context, peer: socket.socket, stream: BufferedReader) -> None:
        self._context = context
        self._peer = peer
        self._stream = stream
        # A frame that was read while a call was still at it, and is the next one's.
        self._ahead: dict[str, Any] | None = None
        # The call whose stream goes on though it was answered.
        self._unread: int | None = None

    def run(self) -> None:
        """Serve until the client goes."""
        first = self._stream.peek(1)[:1]
        if not first:
            return
        if first[0] in _TEXT_STARTS:
            self._plain_text()
            return
        if first[0] not in _FRAME_STARTS:
            error = invalid(f"a connection begins with a frame or with text, not with the byte {first[0]}")
            self._send({"id": None, "error": error.as_json()})
            return
        while True:
            try:
                frame = self._next_frame()
            except CallError as error:
                self._send({"id": None, "error": error.as_json()})
                continue
            if frame is None:
                return
            self._one_call(frame)

    def _plain_text(self) -> None:
        limit = self._context.max_message
        while line := self._stream.readline(limit + 2):
            text = line.removesuffix(b"\n").removesuffix(b"\r")
            if len(text) > limit:
                self._peer.sendall(f"RESOURCE_EXHAUSTED: a line has at most {limit} bytes\n".encode())
                return
            self._peer.sendall(text.decode(errors="replace").upper().encode() + b"\n")

    def _next_frame(self) -> dict[str, Any] | None:
        """Return the next frame; None: the client has gone."""
        frame, self._ahead = self._ahead, None
        if frame is not None:
            return frame
        body = json_frames.read(self._stream, self._context.max_message)
        if body is None:
            return None
        value = json_wire.loads(body)
        if not isinstance(value, dict):
            raise invalid("a frame is a JSON object")
        return value

    def _one_call(self, frame: dict[str, Any]) -> None:
        number = frame.get("id")
        name = frame.get("method")
        if self._unread is not None:
            if name is None and number == self._unread:
                if not frame.get("more"):
                    self._unread = None
                return
            self._unread = None
        began = time.perf_counter()
        code = Code.OK
        try:
            number = _number(number)
            if not isinstance(name, str):
                raise invalid('a frame names its method: "method":"Users.List"')
            self._answer(number, method(name), frame)
        except OSError:
            raise
        except Exception as exception:
            error = as_call_error(exception)
            code = error.code
            self._send({"id": number if _is_number(number) else None, "error": error.as_json()})
        self._context.note("socket", name if isinstance(name, str) else "?", code, began)

    def _answer(self, number: int, method: Method, frame: dict[str, Any]) -> None:
        call = self._context.begin(_deadline(frame))
        if method.client_streams:
            self._converse(number, method, self._context.service.conversations[method.name](call), frame)
            return
        request = json_wire.read(method.request, frame.get("params", {}))
        reply = self._context.service.handlers[method.name](request, call)
        if not method.server_streams:
            self._send({"id": number, "result": json_wire.write(reply)})
            return
        for message in reply:
            self._send({"id": number, "result": json_wire.write(message), "more": True})
        self._send({"id": number, "result": {}})

    def _converse(self, number: int, method: Method, conversation: Conversation, frame: dict[str, Any]) -> None:
        self._unread = number if frame.get("more") else None
        while self._unread is not None:
            frame_or_end = self._next_frame()
            if frame_or_end is None:
                raise ConnectionResetError("the client left in the middle of its stream")
            frame = frame_or_end
            if "method" in frame or frame.get("id") != number:
                self._ahead, self._unread = frame, None
                raise invalid("another call was begun before the end of this one's stream")
            if not frame.get("more"):
                self._unread = None
                break
            answer = conversation.take(json_wire.read(method.request, frame.get("params", {})))
            if answer is not None:
                self._send({"id": number, "result": json_wire.write(answer), "more": True})
        reply = conversation.finish()
        self._send({"id": number, "result": {} if reply is None else json_wire.write(reply)})

    def _send(self, answer: dict[str, Any]) -> None:
        self._peer.sendall(json_frames.pack(answer, self._context.max_message))


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < 1 << 64


def _number(value: object) -> int:
    if not _is_number(value):
        raise invalid("a frame's 'id' is an unsigned 64-bit integer")
    assert isinstance(value, int)
    return value


def _deadline(frame: dict[str, Any]) -> int:
    deadline = frame.get("deadline_ms", 0)
    if type(deadline) is not int or deadline < 0:
        raise invalid("'deadline_ms' is a whole number of milliseconds, 0 for none")
    return min(deadline, _LONGEST_DEADLINE)


def _format(name: tuple[Any, ...]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
