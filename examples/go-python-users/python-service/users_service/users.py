"""The users: made up, the same each time, with nested records. 100 of them with 10 records each are 250 KB of JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

MAX_COUNT = 10_000
MAX_RECORDS = 100

_CITIES = ["Dublin", "Kraków", "Osaka", "Porto", "Tromsø", "Valparaíso"]
_STATES = ["paid", "packed", "shipped", "delivered"]


class BadRequestError(ValueError):
    """What was asked for cannot be had."""


def check(count: object, records: object) -> tuple[int, int]:
    """Return how many users, and records of each, were asked for."""
    for name, value, least, most in [("count", count, 1, MAX_COUNT), ("records", records, 0, MAX_RECORDS)]:
        try:
            number = int(str(value))
        except ValueError:
            number = -1
        if not least <= number <= most:
            raise BadRequestError(f"{name} is {value!s:.20}, expected {least} to {most}")
    return int(str(count)), int(str(records))


def _record(user: int, number: int) -> dict[str, Any]:
    return {
        "order": f"{user:05}-{number:03}",
        "placed": f"2025-{1 + number % 12:02}-{1 + user % 28:02}T{number % 24:02}:30:00Z",
        "state": _STATES[(user + number) % len(_STATES)],
        "parcel": {"carrier": "An Post", "tracking": f"IE{user:06}{number:03}X"},
        "items": [
            {"sku": f"SKU-{(user * 31 + number * 7 + item) % 9973:05}", "quantity": 1 + item, "cents": 995 + 100 * item}
            for item in range(2)
        ],
    }


def _user(number: int, records: int) -> dict[str, Any]:
    city = _CITIES[number % len(_CITIES)]
    return {
        "id": number,
        "name": f"User {number}",
        "email": f"user{number}@example.com",
        "active": number % 7 != 0,
        "address": {"street": f"{1 + number % 200} Harbour Road", "city": city, "postcode": f"{10000 + number}"},
        "preferences": {"language": "en", "newsletter": number % 2 == 0, "tags": ["alpha", "beta", "gamma"]},
        "orders": [_record(number, record) for record in range(records)],
    }


@lru_cache(maxsize=16)
def users_json(count: int, records: int) -> bytes:
    """Return the users as a JSON array.

    It is kept, as a service keeps what it is often asked for: so a load test measures how an answer travels, and
    not how long `json.dumps` takes, which is the same for each way.
    """
    users = [_user(number, records) for number in range(count)]
    return json.dumps(users, ensure_ascii=False, separators=(",", ":")).encode()


def answer(request_id: str, count: int, records: int) -> tuple[bytes, bytes, bytes]:
    """Return the parts of an answer, which says whose it is: what is before, the users, what is after."""
    return b'{"request_id":' + json.dumps(request_id).encode() + b',"users":', users_json(count, records), b"}\n"
