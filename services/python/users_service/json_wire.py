"""Messages as JSON: the fields' own names, bytes in base64, every field written, unknown ones ignored.

Protobuf's own mapping differs where it is lenient: it takes null, and numbers in strings.
"""

from __future__ import annotations

import base64
import binascii
import json
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from google.protobuf.descriptor import FieldDescriptor

from users_service.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    M = TypeVar("M", bound=Message)


def loads(text: bytes | str) -> Any:
    """Return the value of a JSON text.

    Raises INVALID_ARGUMENT when it is not JSON in UTF-8.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = json.loads(text, parse_constant=_not_json)
        if "\\u" in text:
            # Half of a surrogate pair, which is no character, cannot be encoded.
            dumps(value)
        return value
    except (ValueError, RecursionError) as error:
        raise invalid(f"this is not JSON: {error}") from None


def dumps(value: object) -> bytes:
    """Return a value as JSON in UTF-8, on one line."""
    return _encoder.encode(value).encode()


_encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of JSON")


def read(message: type[M], value: object) -> M:
    """Return the message that a JSON value stands for.

    Raises INVALID_ARGUMENT for what is not an object, and for a field of another type.
    """
    return message(**_values(message.DESCRIPTOR, "", value))


def write(message: Message) -> dict[str, Any]:
    """Return a message as a JSON object."""
    return {
        name: [writer(item) for item in getattr(message, name)] if repeated else writer(getattr(message, name))
        for name, _, writer, repeated in _fields(message.DESCRIPTOR)
    }


@cache
def _fields(
    message: Any,
) -> list[tuple[str, Callable[[str, object], Any], Callable[[Any], Any], bool]]:
    """Return name, reader, writer of each field, and whether it is repeated."""
    found = []
    for field in message.fields:
        if field.message_type is None:
            reader, writer = _FORMS[field.type]
        else:
            reader, writer = partial(_values, field.message_type), write
        found.append((field.name, reader, writer, field.is_repeated))
    return found


def _values(message: Any, name: str, value: object) -> dict[str, Any]:
    """Return the arguments for the construction of a message."""
    if not isinstance(value, dict):
        where = f"in field '{name}'" if name else f"with the fields of {message.name}"
        raise invalid(f"expected a JSON object {where}, found {_kind(value)}")
    found = {}
    for field, reader, _, repeated in _fields(message):
        if field in value:
            given = value[field]
            if not repeated:
                found[field] = reader(field, given)
            elif isinstance(given, list):
                found[field] = [reader(field, item) for item in given]
            else:
                raise invalid(f"field '{field}' is to be an array, found {_kind(given)}")
    return found


def _kind(value: object) -> str:
    return {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(
        type(value), "a number"
    )


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise invalid(f"field '{name}' is to be a string, found {_kind(value)}")
    return value


def _unsigned(bits: int) -> Callable[[str, object], int]:
    def read_unsigned(name: str, value: object) -> int:
        if type(value) is not int or not 0 <= value < 1 << bits:
            found = str(value)[:40] if type(value) in (int, float) else _kind(value)
            raise invalid(f"field '{name}' is to be a whole number from 0 to {(1 << bits) - 1}, found {found}")
        return value

    return read_unsigned


def _bytes(name: str, value: object) -> bytes:
    try:
        return base64.b64decode(_text(name, value), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"field '{name}' is to be bytes in base64: {error}") from None


def _same(value: Any) -> Any:
    return value


#: How a field of each type is read and written; those of other messages are objects.
_FORMS: dict[int, tuple[Callable[[str, object], Any], Callable[[Any], Any]]] = {
    FieldDescriptor.TYPE_STRING: (_text, _same),
    FieldDescriptor.TYPE_UINT32: (_unsigned(32), _same),
    FieldDescriptor.TYPE_UINT64: (_unsigned(64), _same),
    FieldDescriptor.TYPE_BYTES: (_bytes, lambda value: base64.b64encode(value).decode()),
}
