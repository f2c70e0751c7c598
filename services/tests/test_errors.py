"""The table of errors: each means the same on every transport, and leaves the server and its store as they were."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from conftest import MAX_MESSAGE, email, fails
from programs import CallFailedError, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Pairing
    from programs import Server

UNKNOWN = "00000000-0000-4000-8000-000000000000"
GOOD = {"name": "Somebody", "email": "somebody@example.org"}

#: Calls that are refused whatever is in the store.
REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "no name": ("INVALID_ARGUMENT", "create", {"email": "a@example.org"}),
    "blank name": ("INVALID_ARGUMENT", "create", {**GOOD, "name": " \t\n"}),
    "long name": ("INVALID_ARGUMENT", "create", {**GOOD, "name": "x" * 101}),
    "control character": ("INVALID_ARGUMENT", "create", {**GOOD, "name": "a\x00b"}),
    "no e-mail": ("INVALID_ARGUMENT", "create", {"name": "Somebody"}),
    "blank e-mail": ("INVALID_ARGUMENT", "create", {**GOOD, "email": ""}),
    "e-mail without @": ("INVALID_ARGUMENT", "create", {**GOOD, "email": "nobody.example.org"}),
    "e-mail without domain": ("INVALID_ARGUMENT", "create", {**GOOD, "email": "nobody@"}),
    "e-mail without dot": ("INVALID_ARGUMENT", "create", {**GOOD, "email": "nobody@example"}),
    "e-mail with space": ("INVALID_ARGUMENT", "create", {**GOOD, "email": "no body@example.org"}),
    "long e-mail": ("INVALID_ARGUMENT", "create", {**GOOD, "email": "x" * 243 + "@example.org"}),
    "get unknown": ("NOT_FOUND", "get", {"id": UNKNOWN}),
    "get no uuid": ("NOT_FOUND", "get", {"id": "robert'); DROP TABLE users;--"}),
    "get blank": ("INVALID_ARGUMENT", "get", {"id": " "}),
    "update unknown": ("NOT_FOUND", "update", {"id": UNKNOWN, **GOOD}),
    "delete unknown": ("NOT_FOUND", "delete", {"id": UNKNOWN}),
    "delete blank": ("INVALID_ARGUMENT", "delete", {"id": "  "}),
    "search blank": ("INVALID_ARGUMENT", "search", {"q": " "}),
    "search long": ("INVALID_ARGUMENT", "search", {"q": "x" * 255}),
    "item 0": ("INVALID_ARGUMENT", "item_get", {"id": 0}),
    "item beyond": ("NOT_FOUND", "item_get", {"id": 1_000_001}),
    "items from 0": ("INVALID_ARGUMENT", "item_list", {"first": 0, "count": 5}),
    "upload of item 0": ("INVALID_ARGUMENT", "item_upload", {"first": 0, "count": 3}),
    "long delay": ("INVALID_ARGUMENT", "echo", {"size": 1, "delay_ms": 10_001}),
    "unknown method": ("UNIMPLEMENTED", "call", {"method": "Users.Nothing"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str, worker: Worker) -> None:
    before = worker.ask("list")
    code, op, params = REFUSED[case]
    assert fails(worker, op, **params) == code
    assert worker.ask("list") == before


def test_an_address_is_taken_whatever_its_case(worker: Worker) -> None:
    address = email()
    user = worker.ask("create", name="First", email=address)
    other = worker.ask("create", name="Other", email=email())
    before = worker.ask("list")
    assert fails(worker, "create", name="Second", email=address) == "ALREADY_EXISTS"
    assert fails(worker, "create", name="Second", email=address.upper()) == "ALREADY_EXISTS"
    assert fails(worker, "update", id=other["id"], name="New name", email=address) == "ALREADY_EXISTS"
    assert worker.ask("list") == before
    # Its own address is not in its way.
    assert worker.ask("update", id=user["id"], name="New name", email=address)["name"] == "New name"


def test_a_bad_update_changes_nothing(worker: Worker) -> None:
    user = worker.ask("create", name="Before", email=email())
    assert fails(worker, "update", id=user["id"], name="After", email="bad") == "INVALID_ARGUMENT"
    assert fails(worker, "update", id=user["id"], name=" ", email=email()) == "INVALID_ARGUMENT"
    assert worker.ask("get", id=user["id"]) == user


def test_a_deadline_ends_a_call_and_no_other(worker: Worker) -> None:
    began = time.monotonic()
    assert fails(worker, "echo", size=10, delay_ms=9000, deadline_ms=100) == "DEADLINE_EXCEEDED"
    assert time.monotonic() - began < 8
    # The answer of the one is never taken for the other's.
    for size in (11, 12, 13):
        assert worker.ask("echo", size=size) == {"size": size}
    assert worker.ask("echo", size=14, delay_ms=20, deadline_ms=50_000) == {"size": 14}


def test_a_message_that_is_too_large_is_refused_with_both_sizes(pairing: Pairing, worker: Worker) -> None:
    limit = 262_144 if pairing.transport == "eshm" else MAX_MESSAGE
    with pytest.raises(CallFailedError) as caught:
        worker.ask("echo", size=2 * MAX_MESSAGE)
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert str(limit) in caught.value.message
    assert any(int(number) >= 2 * MAX_MESSAGE for number in _numbers(caught.value.message)), caught.value.message
    assert worker.ask("echo", size=5) == {"size": 5}


def _numbers(text: str) -> list[str]:
    return "".join(character if character.isdigit() else " " for character in text).split()


def test_there_is_no_server(pairing: Pairing) -> None:
    nowhere = {"rest": "http://127.0.0.1:9", "unix": "/nonexistent/services.sock", "eshm": "services-nobody"}
    address = nowhere.get(pairing.transport, "127.0.0.1:9")
    with Worker(pairing.client, pairing.transport, address) as worker:
        assert fails(worker, "connect") == "UNAVAILABLE"
        assert fails(worker, "list") == "UNAVAILABLE"
        worker.close()


def test_the_worker_survives_what_is_no_call(worker: Worker) -> None:
    for line in (
        "no json",
        "[]",
        '{"op":7}',
        '{"op":"nonsense"}',
        '{"op":"create","params":[]}',
        '{"op":"get","params":{"id":5}}',
    ):
        worker.write(line)
        assert worker.line()["error"]["code"] == "INVALID_ARGUMENT", line
    assert worker.ask("echo", size=3) == {"size": 3}


def test_seats_are_limited_and_come_free(
    client_language: str, server_language: str, one_seat: Callable[[str], Server]
) -> None:
    name = one_seat(server_language).addresses["eshm"]
    with Worker(client_language, "eshm", name) as first, Worker(client_language, "eshm", name) as second:
        first.ask("connect")
        assert fails(second, "echo", size=1) == "RESOURCE_EXHAUSTED"
        first.ask("close")
        assert second.ask("echo", size=1) == {"size": 1}
        first.close()
        second.close()
