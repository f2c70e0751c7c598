"""The contract's methods, read from the protos."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf import message_factory
from google.protobuf.message import DecodeError, Message

from users_service.errors import CallError, Code, invalid
from users_service.wire import items_pb2, users_pb2

PACKAGE = "eshm.services.v1"


@dataclass(frozen=True)
class Method:
    """One method, under its name in sockets and ESHM: "Users.Create"."""

    name: str
    request: type[Message]
    reply: type[Message]
    client_streams: bool
    server_streams: bool

    @property
    def grpc_path(self) -> str:
        """Its path in gRPC: "/eshm.services.v1.Users/Create"."""
        return f"/{PACKAGE}.{self.name.replace('.', '/')}"

    @property
    def is_unary(self) -> bool:
        """Whether it takes one message and returns one."""
        return not (self.client_streams or self.server_streams)

    def parse(self, body: bytes | memoryview) -> Message:
        """Return the request in `body`.

        Raises INVALID_ARGUMENT when there is none.
        """
        try:
            return self.request.FromString(body)  # type: ignore[arg-type] # any buffer will do
        except DecodeError as error:
            raise invalid(f"the request of {self.name} is no {self.request.DESCRIPTOR.name}: {error}") from None


def _methods() -> dict[str, Method]:
    found = {}
    for file in (users_pb2.DESCRIPTOR, items_pb2.DESCRIPTOR):
        for service in file.services_by_name.values():
            for method in service.methods:
                name = f"{service.name}.{method.name}"
                found[name] = Method(
                    name,
                    message_factory.GetMessageClass(method.input_type),
                    message_factory.GetMessageClass(method.output_type),
                    method.client_streaming,
                    method.server_streaming,
                )
    return found


METHODS = _methods()


def method(name: str) -> Method:
    """Return the method of this name.

    Raises UNIMPLEMENTED when there is none.
    """
    try:
        return METHODS[name]
    except KeyError:
        known = ", ".join(METHODS)
        raise CallError(Code.UNIMPLEMENTED, f"there is no method '{name[:100]}'; there are {known}") from None
