"""Users in SQLite."""

from __future__ import annotations

import re
import sqlite3
import threading
import unicodedata
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from users_service.errors import CallError, Code, invalid
from users_service.wire.users_pb2 import User

if TYPE_CHECKING:
    from types import TracebackType

MAX_NAME = 100
MAX_EMAIL = 254

# Its numbers settle the order of lists; ids are random.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    created_at TEXT NOT NULL
) STRICT;
"""
_USER = "id, name, email, created_at"
#: Unicode's White_Space; str.strip() alone would take four control characters more.
_WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


class Store:
    """The users, in a file or in memory; threads may share it.

    Every change is one statement, so none is ever half made.

    path: of the file, or ":memory:". Raises sqlite3.Error when it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_SCHEMA)
        except sqlite3.Error:
            self._database.close()
            raise

    def all(self) -> list[User]:
        """Return all users, in the order of their creation."""
        return self._users(f"SELECT {_USER} FROM users ORDER BY number")

    def get(self, user_id: str) -> User:
        """Return a user. NOT_FOUND."""
        return self._one(user_id, self._users(f"SELECT {_USER} FROM users WHERE id = ?", _id(user_id)))

    def create(self, name: str, email: str) -> User:
        """Add a user. INVALID_ARGUMENT, ALREADY_EXISTS."""
        values = (str(uuid.uuid4()), checked_name(name), checked_email(email), _now())
        return self._users(f"INSERT INTO users ({_USER}) VALUES (?, ?, ?, ?) RETURNING {_USER}", *values)[0]

    def update(self, user_id: str, name: str, email: str) -> User:
        """Replace a user's name and e-mail. INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS."""
        values = (checked_name(name), checked_email(email), _id(user_id))
        update = f"UPDATE users SET name = ?, email = ? WHERE id = ? RETURNING {_USER}"
        return self._one(user_id, self._users(update, *values))

    def delete(self, user_id: str) -> User:
        """Remove a user, and return it as it was. NOT_FOUND."""
        return self._one(user_id, self._users(f"DELETE FROM users WHERE id = ? RETURNING {_USER}", _id(user_id)))

    def search(self, query: str) -> list[User]:
        """Return the users whose name or e-mail contains `query`. INVALID_ARGUMENT."""
        text = _checked("q", query, MAX_EMAIL)
        contains = "instr(lower(name), lower(?1)) OR instr(lower(email), lower(?1))"
        return self._users(f"SELECT {_USER} FROM users WHERE {contains} ORDER BY number", text)

    def close(self) -> None:
        """Close the file. A second close does nothing."""
        with self._lock:
            self._database.close()

    def __enter__(self) -> Self:
        """Return this store, which the end of the block closes."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def _users(self, statement: str, *values: str) -> list[User]:
        try:
            # One connection: SQLite would let only one of several write at a time, too.
            with self._lock:
                rows = self._database.execute(statement, values).fetchall()
        except sqlite3.IntegrityError:
            raise CallError(Code.ALREADY_EXISTS, "another user has this e-mail address") from None
        return [User(id=row[0], name=row[1], email=row[2], created_at=row[3]) for row in rows]

    def _one(self, user_id: str, users: list[User]) -> User:
        if not users:
            raise CallError(Code.NOT_FOUND, f"there is no user '{user_id.strip(_WHITE_SPACE)[:64]}'")
        return users[0]


def checked_name(name: str) -> str:
    """Return a name without white space at its ends. INVALID_ARGUMENT."""
    return _checked("name", name, MAX_NAME)


def checked_email(email: str) -> str:
    """Return an e-mail address without white space at its ends. INVALID_ARGUMENT."""
    text = _checked("email", email, MAX_EMAIL)
    if not _EMAIL.fullmatch(text):
        raise invalid("field 'email' is no e-mail address: expected name@domain.tld")
    return text


def _id(text: str) -> str:
    text = text.strip(_WHITE_SPACE)
    if not text:
        raise invalid("field 'id' is missing or blank")
    return text


def _checked(field: str, text: str, longest: int) -> str:
    text = text.strip(_WHITE_SPACE)
    if not text:
        raise invalid(f"field '{field}' is missing or blank")
    if len(text) > longest:
        raise invalid(f"field '{field}' has {len(text)} characters, at most {longest} are taken")
    if any(unicodedata.category(character) == "Cc" for character in text):
        raise invalid(f"field '{field}' contains a control character")
    return text


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
