"""The calls that succeed, on users."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from conftest import email, fails
from programs import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Pairing
    from programs import Server


def test_a_user_is_created_read_changed_and_removed(worker: Worker, other_worker: Worker) -> None:
    address = email()
    user = worker.ask("create", name="  Ada Lovelace ", email=f" {address}\n")
    assert user == {"id": user["id"], "name": "Ada Lovelace", "email": address, "created_at": user["created_at"]}
    assert uuid.UUID(user["id"]).version == 4
    assert user["id"] == str(uuid.UUID(user["id"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", user["created_at"])
    assert worker.ask("get", id=user["id"]) == user
    assert other_worker.ask("get", id=user["id"]) == user

    changed = worker.ask("update", id=user["id"], name="Ada King", email=address.upper())
    assert changed == {**user, "name": "Ada King", "email": address.upper()}
    assert other_worker.ask("get", id=user["id"]) == changed

    assert worker.ask("delete", id=user["id"]) == changed
    assert fails(worker, "get", id=user["id"]) == "NOT_FOUND"
    assert fails(worker, "delete", id=user["id"]) == "NOT_FOUND"


def test_lists_are_in_the_order_of_creation(worker: Worker) -> None:
    made = [worker.ask("create", name=name, email=email()) for name in ("Zoë", "Änne", "Bob")]
    listed = [user for user in worker.ask("list")["users"] if user in made]
    assert listed == made


def test_a_long_list_is_the_same_on_every_transport(
    pairing: Pairing, crowded: Callable[..., Server], crowd_of_users: tuple[Path, list[dict[str, str]]]
) -> None:
    users = crowd_of_users[1]
    with Worker(pairing.client, pairing.transport, crowded(pairing.server).addresses[pairing.transport]) as worker:
        assert worker.ask("list") == {"users": users}
        assert worker.ask("search", q="@EXAMPLE.org") == {"users": users}
        assert worker.ask("get", id=users[0]["id"]) == users[0]
        worker.close()


def test_search_finds_parts_of_names_and_addresses(worker: Worker) -> None:
    mark = uuid.uuid4().hex
    by_name = worker.ask("create", name=f"Grace 100%_{mark} Hopper", email=email())
    by_email = worker.ask("create", name="Somebody", email=f"x{mark}@example.org")
    assert worker.ask("search", q=mark) == {"users": [by_name, by_email]}
    assert worker.ask("search", q=mark.upper()) == {"users": [by_name, by_email]}
    # What other databases' patterns would take for placeholders is text.
    assert worker.ask("search", q=f"100%_{mark}") == {"users": [by_name]}
    assert worker.ask("search", q=f"100__{mark}") == {"users": []}
    assert worker.ask("search", q="' OR 1=1 --") == {"users": []}


def test_text_of_any_script_survives(worker: Worker, other_worker: Worker) -> None:
    name = 'Ωμέγα "quoted" \\ 漢字 🦀 é'
    user = worker.ask("create", name=name, email=email("köln"))
    assert user["name"] == name
    assert other_worker.ask("get", id=user["id"]) == user


def test_an_address_is_free_again_after_its_user(worker: Worker) -> None:
    address = email()
    first = worker.ask("create", name="First", email=address)
    worker.ask("delete", id=first["id"])
    second = worker.ask("create", name="Second", email=address)
    assert second["id"] != first["id"]
