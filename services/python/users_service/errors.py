"""What goes wrong with a call: one table of codes for all transports."""

from __future__ import annotations

import enum
import json
import logging

log = logging.getLogger("users_service")


class Code(enum.IntEnum):
    """How a call ended; the numbers are those of gRPC."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14

    @classmethod
    def of(cls, number: int) -> Code:
        """Return the code of a number; INTERNAL for one that is not in the table."""
        return cls(number) if number in cls._value2member_map_ else cls.INTERNAL

    @property
    def http_status(self) -> int:
        """The status of a REST answer; UNIMPLEMENTED is 405 where the path exists."""
        return _HTTP[self]


_HTTP = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.UNIMPLEMENTED: 404,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
}


class CallError(Exception):
    """A call that did not succeed. Its message is for the caller to read."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, str]:
        """Return the error as the socket, REST and the worker write it."""
        return {"code": self.code.name, "message": self.message}

    @classmethod
    def from_json(cls, error: object) -> CallError:
        """Return the error that a server wrote; INTERNAL if it is none."""
        match error:
            case {"code": str(name), "message": str(message)} if name in Code.__members__:
                return cls(Code[name], message)
        return cls(Code.INTERNAL, f"the server's answer is not in the contract: {json.dumps(error)[:200]}")


def invalid(message: str) -> CallError:
    """Return the error of an argument that cannot be used."""
    return CallError(Code.INVALID_ARGUMENT, message)


def too_large(size: int, limit: int, what: str = "message") -> CallError:
    """Return the error of a message that is longer than its transport takes."""
    return CallError(
        Code.RESOURCE_EXHAUSTED, f"the {what} has {size} bytes, at most {limit} are taken: send less at once"
    )


def as_call_error(error: Exception) -> CallError:
    """Return what the caller gets to know of an exception; a fault of the server's own goes to its log."""
    if isinstance(error, CallError):
        return error
    log.error("a call failed", exc_info=error)
    return CallError(Code.INTERNAL, "the server failed; its log says how")
