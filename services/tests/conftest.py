"""Every client language × server language × transport, and the matrix of what passed."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import sqlite3
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from programs import LANGUAGES, TRANSPORTS, CallFailedError, Server, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: Of the server that most tests share, in bytes.
MAX_MESSAGE = 1 << 20
#: As many clients as the crowd of `test_crowd`, and those of other tests.
SEATS = 80
#: Of the server with one seat, in bytes: for messages beyond gRPC's 4 MB.
LARGE = 12 << 20
#: As ../README.md has it.
USERS_TABLE = """
CREATE TABLE IF NOT EXISTS users (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    email      TEXT NOT NULL UNIQUE COLLATE NOCASE,
    created_at TEXT NOT NULL
) STRICT;
"""


@dataclass(frozen=True)
class Pairing:
    """Who calls whom, and how."""

    client: str
    server: str
    transport: str

    def __str__(self) -> str:
        return f"{self.client} → {self.server}, {self.transport}"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--languages", default=",".join(LANGUAGES), help="which, separated by commas; all unless given")


def languages(config: pytest.Config) -> list[str]:
    found: list[str] = config.getoption("--languages").split(",")
    unknown = set(found) - LANGUAGES.keys()
    if unknown:
        raise pytest.UsageError(f"--languages: {', '.join(unknown)} unknown; there are {', '.join(LANGUAGES)}")
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = languages(metafunc.config)
    if "pairing" in metafunc.fixturenames:
        pairings = [Pairing(client, server, how) for server in names for how in TRANSPORTS for client in names]
        metafunc.parametrize("pairing", pairings, ids=str, scope="session")
    if "server_language" in metafunc.fixturenames:
        metafunc.parametrize("server_language", names, scope="session")
    if "client_language" in metafunc.fixturenames:
        metafunc.parametrize("client_language", names, scope="session")


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[..., Server]]:
    """Starts servers, one of each kind, which all tests share."""
    running: dict[tuple[str, ...], Server] = {}
    with contextlib.ExitStack() as stack:

        def get(language: str, *options: str) -> Server:
            if (language, *options) not in running:
                running[language, *options] = stack.enter_context(Server(language, *options))
            return running[language, *options]

        yield get
        for server in running.values():
            assert server.process.poll() is None, f"the {server.language} server did not live to the end"


@pytest.fixture(scope="session")
def shared(servers: Callable[..., Server]) -> Callable[[str], Server]:
    """Returns the server that most tests share."""
    return lambda language: servers(language, "--max-message", str(MAX_MESSAGE), "--eshm-clients", str(SEATS))


@pytest.fixture(scope="session")
def one_seat(servers: Callable[..., Server]) -> Callable[[str], Server]:
    """Returns a server with one segment only, and large messages."""
    return lambda language: servers(language, "--eshm-clients", "1", "--eshm-capacity", str(LARGE))


@pytest.fixture(scope="session")
def crowd_of_users(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """Returns a store with 3000 users, and these: some 400 KB, more than a segment's queue has room for."""
    path = tmp_path_factory.mktemp("store") / "users.db"
    users = [
        {
            "id": str(uuid.uuid4()),
            "name": f"User {number}",
            "email": f"user.{number}.{uuid.uuid4().hex}@example.org",
            "created_at": "2026-01-31T12:00:00.123456Z",
        }
        for number in range(3000)
    ]
    with contextlib.closing(sqlite3.connect(path)) as store, store:
        store.execute(USERS_TABLE)
        store.executemany(
            "INSERT INTO users (id, name, email, created_at) VALUES (:id, :name, :email, :created_at)", users
        )
    return path, users


@pytest.fixture(scope="session")
def crowded(servers: Callable[..., Server], crowd_of_users: tuple[Path, list[dict[str, str]]]) -> Callable[..., Server]:
    """Returns a server with 3000 users, started with these options."""
    return lambda language, *options: servers(language, "--store", str(crowd_of_users[0]), *options)


@pytest.fixture(scope="session")
def workers(shared: Callable[[str], Server]) -> Iterator[Callable[..., Worker]]:
    """Starts workers of the shared servers, which tests share, too."""
    running: dict[tuple[Pairing, int], Worker] = {}
    with contextlib.ExitStack() as stack:

        def get(pairing: Pairing, number: int = 0) -> Worker:
            worker = running.get((pairing, number))
            if worker is None or worker.process.poll() is not None:
                address = shared(pairing.server).addresses[pairing.transport]
                worker = stack.enter_context(Worker(pairing.client, pairing.transport, address))
                running[pairing, number] = worker
            return worker

        yield get
        for worker in running.values():
            worker.close()


@pytest.fixture
def worker(pairing: Pairing, workers: Callable[[Pairing], Worker]) -> Worker:
    """A client of the shared server."""
    return workers(pairing)


@pytest.fixture
def other_worker(pairing: Pairing, workers: Callable[..., Worker]) -> Worker:
    """A second client of the same server, by other means: what one has stored, the other finds."""
    others = [how for how in TRANSPORTS if how != pairing.transport]
    return workers(Pairing(pairing.client, pairing.server, others[0]))


def email(start: str = "someone") -> str:
    """Return an address that no other test uses."""
    return f"{start}.{uuid.uuid4().hex}@example.org"


def fails(worker: Worker, op: str, **params: Any) -> str:
    """Make a call that must fail; return its code."""
    with pytest.raises(CallFailedError) as caught:
        worker.ask(op, **params)
    assert caught.value.message, "an error has a message"
    return caught.value.code


#: What passed and what did not: of each row and column of the matrix, the numbers of both.
_cells: dict[tuple[str, str], list[int]] = collections.defaultdict(lambda: [0, 0])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed or (report.passed and report.when == "call"):
        parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        to = parameters.get("server_language") or parameters.get("client_language")
        row = str(parameters.get("pairing") or (f"others → {to}" if to else "by itself"))
        _cells[row, item.path.stem.removeprefix("test_")][report.failed] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    rows = list(dict.fromkeys(row for row, _ in _cells))
    columns = list(dict.fromkeys(column for _, column in _cells))
    if not rows:
        return
    terminalreporter.section("languages × transports × cases: how many passed")
    width = max(map(len, rows))
    terminalreporter.line(" " * width + "".join(f"  {column:>9}" for column in columns))
    for row in rows:
        cells = ""
        for column in columns:
            passed, failed = _cells.get((row, column), (0, 0))
            text = f"{failed} FAILED" if failed else str(passed or "–")
            cells += f"  {text:>{max(9, len(column))}}"
        terminalreporter.line(f"{row:<{width}}{cells}")


# Terminated, too, this ends what it has started.
signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", 143))
# A proxy would stand between the tests and the servers of this machine.
for variable in ("http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(variable, None)
    os.environ.pop(variable.upper(), None)
