"""A Unix socket with the frames of ESHM."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from users_service.clients.base import unavailable
from users_service.clients.over_eshm import SLICE, EshmClient
from users_service.unix_wire import UnixWire

if TYPE_CHECKING:
    from users_service.eshm_frames import Outgoing


class UnixClient(EshmClient):
    """See `Client`; address: the socket's file."""

    _endpoint: UnixWire | None  # type: ignore[assignment] # it has what is used of an endpoint

    def _take_seat(self) -> UnixWire:  # type: ignore[override] # as above
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            peer.connect(self._name)
        except OSError as error:
            peer.close()
            raise unavailable(f"no connection to {self._name}: {error}") from None
        return UnixWire(peer)

    def _put(self, frame: Outgoing) -> None:
        assert self._endpoint is not None
        self._endpoint.put(frame, SLICE)

    def _cancel(self, number: int) -> None:  # noqa: ARG002 - the connection carries no other
        """Close the connection: that cancels its call, and what was sent of a frame is nobody's."""
        self.close()
