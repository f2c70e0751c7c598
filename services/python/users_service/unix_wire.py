"""A Unix socket as the wire of ESHM's frames: a length, four bytes, big-endian, and so many bytes.

It has what the calls through a segment use of an endpoint, and raises what that raises.
"""

from __future__ import annotations

import contextlib
import struct
import time
from typing import TYPE_CHECKING

import eshm

if TYPE_CHECKING:
    import socket

    from users_service.eshm_frames import Outgoing

_LENGTH = struct.Struct(">I")
#: How much is read at once, at least, in bytes.
_CHUNK = 1 << 16


class UnixWire:
    """One end of a connection, for one thread."""

    #: As those of the socket's frames: in bytes.
    max_message = (32 << 20) - 1
    #: A connection is never another one's.
    generation = 0

    def __init__(self, peer: socket.socket) -> None:
        self.name = "unix"
        self.peer_state = eshm.PeerState.ALIVE
        self._peer = peer
        self._timeout: float | None = None
        # What was read and not taken.
        self._buffer = bytearray(_CHUNK)
        self._have = 0
        # The frame of which only a part could be sent, and the rest of it.
        self._begun: Outgoing | None = None
        self._rest = memoryview(b"")

    def recv(self, timeout: float | None = None) -> bytes:
        """Return the next message. Raises TimeoutError and PeerClosedError of eshm."""
        ends = None if timeout is None else time.monotonic() + timeout
        while True:
            message = self._take()
            if message is not None:
                return message
            left = None if ends is None else ends - time.monotonic()
            if left is not None and left <= 0:
                raise eshm.TimeoutError("no message came in time")
            self._fill(left)

    def try_recv(self) -> bytes | None:
        """Return the next message, if it is there."""
        message = self._take()
        if message is None:
            with contextlib.suppress(eshm.TimeoutError):
                self._fill(0)
            message = self._take()
        return message

    def put(self, frame: Outgoing, timeout: float) -> None:
        """Send a frame. After a TimeoutError of eshm: again the same, or another one, which follows it."""
        if self._begun is not frame:
            self._write(timeout)
            self._begun = frame
            self._rest = memoryview(b"".join((_LENGTH.pack(len(frame)), frame.head, frame.tail)))
        self._write(timeout)
        self._begun = None

    def close(self) -> None:
        """End the connection."""
        self.peer_state = eshm.PeerState.CLOSED
        self._peer.close()

    def _take(self) -> bytes | None:
        if self._have < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(self._buffer)
        if size > self.max_message:
            raise self._gone("what came is no frame")
        end = _LENGTH.size + size
        if self._have < end:
            if len(self._buffer) < end:
                self._buffer.extend(bytes(end - len(self._buffer)))
            return None
        message = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        self._buffer[: self._have - end] = self._buffer[end : self._have]
        self._have -= end
        return message

    def _fill(self, timeout: float | None) -> None:
        if self._have == len(self._buffer):
            self._buffer.extend(bytes(_CHUNK))
        self._limit(timeout)
        try:
            count = self._peer.recv_into(memoryview(self._buffer)[self._have :])
        except (TimeoutError, BlockingIOError):
            raise eshm.TimeoutError("no message came in time") from None
        except OSError as error:
            raise self._gone(error) from None
        if not count:
            raise self._gone("the other end closed the connection")
        self._have += count

    def _write(self, timeout: float) -> None:
        self._limit(timeout)
        while self._rest:
            try:
                count = self._peer.send(self._rest)
            except (TimeoutError, BlockingIOError):
                raise eshm.TimeoutError("there was no room in time") from None
            except OSError as error:
                raise self._gone(error) from None
            self._rest = self._rest[count:]

    def _limit(self, timeout: float | None) -> None:
        if timeout != self._timeout:
            self._peer.settimeout(timeout)
            self._timeout = timeout

    def _gone(self, why: object) -> eshm.PeerClosedError:
        self.peer_state = eshm.PeerState.CLOSED
        return eshm.PeerClosedError(f"the connection is over: {why}")
