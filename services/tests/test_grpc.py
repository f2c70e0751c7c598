"""gRPC, as strangers use it: with what reflection tells, and with bytes that are no message."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from conftest import email
from programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from programs import Server

PACKAGE = "eshm.services.v1"


@pytest.fixture
def channel(server_language: str, shared: Callable[[str], Server]) -> Iterator[grpc.Channel]:
    """A channel; afterwards the server must still serve."""
    with grpc.insecure_channel(shared(server_language).addresses["grpc"]) as channel:
        yield channel
        assert raw(channel, f"/{PACKAGE}.Items/Get", b"\x08\x03") == b"\x08\x03\x12\x06item 3"


def raw(channel: grpc.Channel, path: str, request: bytes) -> bytes:
    """Make a call of bytes."""
    call: Any = channel.unary_unary(path, None, None)
    answer: bytes = call(request, timeout=PATIENCE)
    return answer


def reflect(channel: grpc.Channel, **question: str) -> Any:
    """Ask the server's reflection service, whose messages are those of its v1alpha."""
    call: Any = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    return next(call(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=PATIENCE))


def test_reflection_is_enough_for_a_client(channel: grpc.Channel) -> None:
    names = {service.name for service in reflect(channel, list_services="").list_services_response.service}
    assert names >= {f"{PACKAGE}.Users", f"{PACKAGE}.Items", "grpc.health.v1.Health"}

    answer = reflect(channel, file_containing_symbol=f"{PACKAGE}.Users")
    files = [
        descriptor_pb2.FileDescriptorProto.FromString(file)
        for file in answer.file_descriptor_response.file_descriptor_proto
    ]
    pool = descriptor_pool.DescriptorPool()
    for file in reversed(files):
        pool.Add(file)
    method = pool.FindServiceByName(f"{PACKAGE}.Users").FindMethodByName("Create")
    request = message_factory.GetMessageClass(method.input_type)
    reply = message_factory.GetMessageClass(method.output_type)
    address = email()
    call: Any = channel.unary_unary(f"/{PACKAGE}.Users/Create", request.SerializeToString, reply.FromString)
    user = call(request(name="Reflected", email=address), timeout=PATIENCE)
    assert (user.name, user.email) == ("Reflected", address)


@pytest.mark.parametrize("service", ["", f"{PACKAGE}.Users", f"{PACKAGE}.Items"])
def test_health(service: str, channel: grpc.Channel) -> None:
    request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
    answer = health_pb2.HealthCheckResponse.FromString(raw(channel, "/grpc.health.v1.Health/Check", request))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        *(
            (path, noise)
            for path in ("Users/Create", "Items/Get", "Items/Echo", "Items/List")
            for noise in (b"\xff" * 20, b"\x0a\x7f")
        ),
        ("Users/Create", b"\x0a\x02\xff\xfe"),  # a text that is not UTF-8
    ],
)
def test_what_is_no_message(path: str, request_: bytes, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw(channel, f"/{PACKAGE}.{path}", request_)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details()


@pytest.mark.parametrize("path", [f"{PACKAGE}.Users/Nothing", f"{PACKAGE}.Nothing/List", "Users/List"])
def test_an_unknown_method(path: str, channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw(channel, f"/{path}", b"")
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff"]
)
def test_bytes_that_are_not_http_2(
    data: bytes, channel: grpc.Channel, server_language: str, shared: Callable[[str], Server]
) -> None:
    host, _, port = shared(server_language).addresses["grpc"].rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as peer,
        contextlib.suppress(OSError),  # the server may end the connection without a word
    ):
        peer.sendall(data)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    assert raw(channel, "/grpc.health.v1.Health/Check", b"") == b"\x08\x01"
