"""What anybody may write to the socket's port."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from conftest import MAX_MESSAGE, email
from programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from programs import Server


class Wire:
    """A connection on which any bytes can be written."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._peer = socket.create_connection((host, int(port)), timeout=PATIENCE)
        self._stream = self._peer.makefile("rb")

    def write(self, data: bytes) -> None:
        self._peer.sendall(data)

    def end(self) -> None:
        """Write no more."""
        self._peer.shutdown(socket.SHUT_WR)

    def frame(self, body: bytes | dict[str, Any]) -> None:
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.write(struct.pack(">I", len(body)) + body)

    def answer(self) -> dict[str, Any]:
        (size,) = struct.unpack(">I", self._stream.read(4))
        value: dict[str, Any] = json.loads(self._stream.read(size))
        return value

    def code(self) -> tuple[Any, str]:
        """Return id and code of an answer that must be an error."""
        answer = self.answer()
        assert answer["error"]["message"]
        return answer["id"], answer["error"]["code"]

    def line(self) -> bytes:
        return self._stream.readline()

    def is_closed(self) -> bool:
        return self._stream.read(1) == b""

    def close(self) -> None:
        self._stream.close()
        self._peer.close()


@pytest.fixture
def wire(server_language: str, shared: Callable[[str], Server]) -> Iterator[Wire]:
    """A connection; afterwards the server must still serve others."""
    address = shared(server_language).addresses["socket"]
    wire = Wire(address)
    yield wire
    wire.close()
    other = Wire(address)
    other.frame({"id": 1, "method": "Items.Get", "params": {"id": 9}})
    assert other.answer() == {"id": 1, "result": {"id": 9, "name": "item 9"}}
    other.close()


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"{", None),
        (b"", None),
        (b"[]", None),
        (b'"text"', None),
        (b"\xff\xfe", None),
        (b'{"id":1,"method":"Users.List","params":{}} {}', None),
        (b"[" * 100_000, None),
        (b'{"method":"Users.List"}', None),
        (b'{"id":-1,"method":"Users.List"}', None),
        (b'{"id":"1","method":"Users.List"}', None),
        (b'{"id":1.5,"method":"Users.List"}', None),
        (b'{"id":18446744073709551616,"method":"Users.List"}', None),
        (b'{"id":5}', 5),
        (b'{"id":5,"method":7}', 5),
        (b'{"id":5,"method":"\\ud800"}', None),
        (b'{"id":5,"method":"Users.List","params":[]}', 5),
        (b'{"id":5,"method":"Users.List","params":null}', 5),
        (b'{"id":5,"method":"Users.List","deadline_ms":"soon"}', 5),
        (b'{"id":5,"method":"Users.List","deadline_ms":-1}', 5),
        (b'{"id":5,"method":"Users.Create","params":{"name":null,"email":"a@example.org"}}', 5),
        (b'{"id":5,"method":"Users.Create","params":{"name":["x"],"email":"a@example.org"}}', 5),
        (b'{"id":5,"method":"Users.Create","params":{"name":"\\ud800","email":"a@example.org"}}', None),
        (b'{"id":5,"method":"Items.Get","params":{"id":"7"}}', 5),
        (b'{"id":5,"method":"Items.Get","params":{"id":7.5}}', 5),
        (b'{"id":5,"method":"Items.Get","params":{"id":true}}', 5),
        (b'{"id":5,"method":"Items.Get","params":{"id":4294967296}}', 5),
        (b'{"id":5,"method":"Items.Get","params":{"id":-1}}', 5),
        (b'{"id":5,"method":"Items.Get","params":{"id":NaN}}', None),
        (b'{"id":5,"method":"Items.Echo","params":{"payload":"%%%"}}', 5),
        (b'{"id":5,"method":"Items.Echo","params":{"payload":"AAA"}}', 5),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_bad_frame_is_answered_and_the_connection_goes_on(body: bytes, number: int | None, wire: Wire) -> None:
    wire.frame(body)
    found, code = wire.code()
    assert code == "INVALID_ARGUMENT"
    # That a character is none may be noticed only where the field is used.
    assert found == number or (found == 5 and b"ud800" in body)
    wire.frame({"id": 6, "method": "Items.Get", "params": {"id": 1}})
    assert wire.answer() == {"id": 6, "result": {"id": 1, "name": "item 1"}}


def test_ids_and_methods(wire: Wire) -> None:
    largest = (1 << 64) - 1
    wire.frame({"id": largest, "method": "Items.Get", "params": {"id": 2, "future": [1]}})
    assert wire.answer() == {"id": largest, "result": {"id": 2, "name": "item 2"}}
    wire.frame({"id": 1, "method": "Items.Get", "params": {"id": 2}, "deadline_ms": 10**400})
    assert wire.answer()["id"] in (1, None), "refused or not, it is answered"
    for name in ("Users.Nothing", "Items", "", "Users.list", "Users/List"):
        wire.frame({"id": 0, "method": name})
        assert wire.code() == (0, "UNIMPLEMENTED")


def test_calls_that_are_sent_ahead_are_served_in_order(wire: Wire) -> None:
    for number in range(50):
        wire.frame({"id": number, "method": "Items.Get", "params": {"id": number + 1}})
    for number in range(50):
        assert wire.answer() == {"id": number, "result": {"id": number + 1, "name": f"item {number + 1}"}}


def test_bytes_that_come_one_by_one(wire: Wire) -> None:
    body = b'{"id":3,"method":"Items.Echo","params":{"payload":"AAEC/w=="}}'
    for byte in struct.pack(">I", len(body)) + body:
        wire.write(bytes([byte]))
    assert wire.answer() == {"id": 3, "result": {"payload": "AAEC/w=="}}


def test_streams(wire: Wire) -> None:
    wire.frame({"id": 1, "method": "Items.List", "params": {"first": 1, "count": 2}})
    assert [wire.answer() for _ in range(3)] == [
        {"id": 1, "result": {"id": 1, "name": "item 1"}, "more": True},
        {"id": 1, "result": {"id": 2, "name": "item 2"}, "more": True},
        {"id": 1, "result": {}},
    ]
    wire.frame({"id": 2, "method": "Items.Upload", "more": True})
    wire.frame({"id": 2, "params": {"id": 4, "name": "x"}, "more": True})
    wire.frame({"id": 2})
    assert wire.answer() == {"id": 2, "result": {"count": 1, "sum": 4}}
    wire.frame({"id": 3, "method": "Items.Chat", "more": True})
    wire.frame({"id": 3, "params": {"text": "hi"}, "more": True})
    assert wire.answer() == {"id": 3, "result": {"number": 1, "text": "HI"}, "more": True}
    wire.frame({"id": 3})
    assert wire.answer() == {"id": 3, "result": {}}


def test_the_rest_of_a_stream_that_was_refused_is_disregarded(wire: Wire) -> None:
    wire.frame({"id": 2, "method": "Items.Upload", "more": True})
    for number in (0, 1, 2):
        wire.frame({"id": 2, "params": {"id": number, "name": "x"}, "more": True})
    wire.frame({"id": 2})
    wire.frame({"id": 3, "method": "Items.Get", "params": {"id": 1}})
    assert wire.code() == (2, "INVALID_ARGUMENT")
    assert wire.answer() == {"id": 3, "result": {"id": 1, "name": "item 1"}}


def test_a_frame_that_is_too_large_is_read_away(wire: Wire) -> None:
    wire.frame(b" " * (MAX_MESSAGE + 1))
    assert wire.code() == (None, "RESOURCE_EXHAUSTED")
    wire.frame({"id": 6, "method": "Items.Get", "params": {"id": 1}})
    assert wire.answer()["id"] == 6


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x00\x00\x40{", b'\x00\x00\x00\x30{"id":1,"method":"Users.Create"'])
def test_a_client_that_leaves_in_the_middle_of_a_frame(data: bytes, wire: Wire) -> None:
    wire.write(data)
    wire.end()
    assert wire.is_closed()


@pytest.mark.parametrize("data", [b"\x02\x00\x00\x00", b"\x16\x03\x01\x02\x00\x01", b"\x7f", b"\x05\x01\x00"])
def test_bytes_that_are_neither_frame_nor_text(data: bytes, wire: Wire) -> None:
    wire.write(data)
    assert wire.code() == (None, "INVALID_ARGUMENT")


def test_plain_text_comes_back_in_upper_case(wire: Wire) -> None:
    wire.write("Hello Socket Server\nmixed CASE text\r\n12345\n\nstraße λ\n".encode())
    expected = ["HELLO SOCKET SERVER", "MIXED CASE TEXT", "12345", "", "STRASSE Λ"]
    assert [wire.line().decode() for _ in expected] == [f"{text}\n" for text in expected]
    wire.write(b"not utf-8: \xff\xc3(\n")
    assert wire.line().decode() == "NOT UTF-8: \ufffd\ufffd(\n"
    wire.write(b"GET / HTTP/1.1\r\n")
    assert wire.line() == b"GET / HTTP/1.1\n"


def test_a_line_that_is_too_long(wire: Wire) -> None:
    wire.write(b"x" * MAX_MESSAGE + b"\n")
    assert wire.line() == b"X" * MAX_MESSAGE + b"\n"
    wire.write(b"x" * (MAX_MESSAGE + 2))
    assert wire.line().startswith(b"RESOURCE_EXHAUSTED: ")


def test_nothing_is_stored_of_a_frame_that_is_cut_off(
    wire: Wire, server_language: str, shared: Callable[[str], Server]
) -> None:
    address = email("cut")
    body = json.dumps({"id": 1, "method": "Users.Create", "params": {"name": "Cut", "email": address}}).encode()
    wire.write(struct.pack(">I", len(body)) + body[:-1])
    wire.end()
    assert wire.is_closed()
    other = Wire(shared(server_language).addresses["socket"])
    other.frame({"id": 1, "method": "Users.Search", "params": {"q": address}})
    assert other.answer() == {"id": 1, "result": {"users": []}}
    other.close()
