"""The five transports, from the client's side."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from users_service.clients.base import Client


def make_client(transport: str, address: str) -> Client:
    """Return a client of the server at `address`, as its READY line gives it.

    The transport's libraries are loaded only now: each costs time and memory. Raises ValueError for an address that
    is none.
    """
    match transport:
        case "socket":
            from users_service.clients.over_socket import SocketClient  # noqa: PLC0415

            return SocketClient(address)
        case "rest":
            from users_service.clients.over_rest import RestClient  # noqa: PLC0415

            return RestClient(address)
        case "grpc":
            from users_service.clients.over_grpc import GrpcClient  # noqa: PLC0415

            return GrpcClient(address)
        case "unix":
            from users_service.clients.over_unix import UnixClient  # noqa: PLC0415

            return UnixClient(address)
        case _:
            from users_service.clients.over_eshm import EshmClient  # noqa: PLC0415

            return EshmClient(address)
