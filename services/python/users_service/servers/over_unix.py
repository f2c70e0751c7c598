"""A Unix socket with the frames of ESHM: a thread per connection."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import eshm

from users_service.servers.eshm_calls import SLICE, ClientCalls, StoppingError
from users_service.servers.over_socket import SocketServer
from users_service.unix_wire import UnixWire

if TYPE_CHECKING:
    from users_service.eshm_frames import Outgoing
    from users_service.servers.context import Context


class UnixServer(SocketServer):
    """Serves a Unix socket from its construction on, until `stop`.

    listen: the socket's file, which is made. Raises OSError when it cannot be had.
    """

    def __init__(self, context: Context, listen: str) -> None:
        self._path = Path(listen)
        super().__init__(context, listen)

    def _bind(self, listen: str) -> tuple[socket.socket, str]:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if self._path.exists():
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                    if probe.connect_ex(listen) != 0:
                        # What a killed server has left.
                        self._path.unlink()
            listener.bind(listen)
            listener.listen(256)
        except OSError:
            listener.close()
            raise
        return listener, listen

    def _talk(self, peer: socket.socket) -> None:
        wire = UnixWire(peer)
        with contextlib.suppress(eshm.PeerClosedError, StoppingError):
            _Calls(self._context, wire).serve(wire.recv())

    def stop(self) -> None:
        """End all connections, and remove the file."""
        super().stop()
        self._path.unlink(missing_ok=True)


class _Calls(ClientCalls):
    transport = "unix"
    _endpoint: UnixWire  # type: ignore[assignment] # it has what is used of an endpoint

    def __init__(self, context: Context, wire: UnixWire) -> None:
        super().__init__(context, wire)  # type: ignore[arg-type] # as above

    def _put(self, frame: Outgoing) -> None:
        self._endpoint.put(frame, SLICE)
