"""What anybody may send through a Unix socket."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from users_service.wire.eshm_pb2 import Code, Frame
from users_service.wire.items_pb2 import GetItemRequest, Item

from programs import PATIENCE, Server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def connect(server: Server) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    peer.settimeout(PATIENCE)
    peer.connect(server.addresses["unix"])
    return peer


def send(peer: socket.socket, message: bytes) -> None:
    peer.sendall(struct.pack(">I", len(message)) + message)


def receive(peer: socket.socket) -> Frame:
    with peer.makefile("rb", buffering=0) as stream:
        (size,) = struct.unpack(">I", stream.read(4))
        data = b""
        while len(data) < size:
            data += stream.read(size - len(data))
    return Frame.FromString(data)


def get_item(peer: socket.socket) -> None:
    """Make a call that must succeed."""
    body = GetItemRequest(id=3).SerializeToString()
    send(peer, Frame(call=9, kind=Frame.REQUEST, method="Items.Get", body=body).SerializeToString())
    frame = receive(peer)
    assert (frame.call, frame.kind) == (9, Frame.END)
    assert Item.FromString(frame.body) == Item(id=3, name="item 3")


def test_what_is_no_frame_is_answered_if_its_call_can_be_read(
    server_language: str, shared: Callable[[str], Server]
) -> None:
    with connect(shared(server_language)) as peer:
        for noise in (b"", b"\x00", b"\xff" * 30, b"\x09\x01", b"x" * 10_000):
            send(peer, noise)
        send(peer, b"\x09" + (77).to_bytes(8, "little") + b"\xff" * 20)
        frame = receive(peer)
        assert (frame.call, frame.kind, frame.status.code) == (77, Frame.END, Code.INVALID_ARGUMENT)
        get_item(peer)


@pytest.mark.parametrize("noise", [b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\x02\x00\x00\x00"])
def test_what_has_no_length_ends_its_connection_and_no_other(
    noise: bytes, server_language: str, shared: Callable[[str], Server]
) -> None:
    with connect(shared(server_language)) as peer, connect(shared(server_language)) as other:
        peer.sendall(noise)
        # It is reset if some of the noise was not read.
        with contextlib.suppress(ConnectionResetError):
            assert peer.recv(1) == b""
        get_item(other)


def test_the_file_goes_with_its_server_and_one_that_is_left_is_replaced(server_language: str, tmp_path: Path) -> None:
    path = tmp_path / "users.sock"
    options = ("--transport", "unix", "--unix-listen", str(path))
    with Server(server_language, *options) as server:
        server.kill()
        assert path.exists()
        with Server(server_language, *options) as next_server:
            with connect(next_server) as peer:
                get_item(peer)
            assert next_server.stop() == 0
            assert not path.exists()
