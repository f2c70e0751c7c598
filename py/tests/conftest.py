from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eshm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Spawn = Callable[..., subprocess.Popen[str]]

#: The limit of every wait, in seconds. A test that works takes less.
PATIENCE = 30.0

#: The options of an endpoint, in their order.
OPTIONS = [
    "role",
    "data_size",
    "queue_capacity",
    "wait",
    "connect_timeout",
    "heartbeat_interval",
    "stale_threshold",
    "disconnect",
    "reconnect_timeout",
    "reconnect_interval",
    "reconnect_attempts",
    "auto_cleanup",
    "background",
    "mode",
    "group",
    "any_owner",
    "steady_heartbeat",
    "give_up",
    "domain",
]

_numbers = itertools.count()


def segment_file(name: str) -> Path:
    return Path(f"/dev/shm/eshm_{name}")


@pytest.fixture
def name() -> Iterator[str]:
    """Returns a segment name of this test's own. The test must leave no segment behind."""
    name = f"pytest-{os.getpid()}-{next(_numbers)}"
    yield name
    left = segment_file(name).exists()
    segment_file(name).unlink(missing_ok=True)
    assert not left, f"the test left {segment_file(name)} behind"


@pytest.fixture
def pair(name: str) -> Iterator[tuple[eshm.Endpoint, eshm.Endpoint]]:
    """A master and its slave."""
    with eshm.Endpoint(name, role="master") as master, eshm.Endpoint(name, role="slave") as slave:
        yield master, slave


@pytest.fixture(params=["asyncio", "uvloop"])
def either_loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has `loops.run` use one loop or the other."""
    import loops  # noqa: PLC0415 - it imports this module

    chosen = asyncio.run if request.param == "asyncio" else pytest.importorskip("uvloop").run
    monkeypatch.setattr(loops, "runner", [chosen])


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Starts Python with a script and arguments. Kills processes that still run after the test."""
    children: list[subprocess.Popen[str]] = []

    def start(script: str | Path, *args: str) -> subprocess.Popen[str]:
        source = [str(script)] if isinstance(script, Path) else ["-c", textwrap.dedent(script)]
        child = subprocess.Popen(
            [sys.executable, *source, *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def fill(sender: eshm.Endpoint, message: bytes = b"in the way") -> int:
    """Sends until the queue is full, and returns the number of messages sent."""
    for count in itertools.count():
        try:
            sender.try_send(message)
        except eshm.FullError:
            return count
    raise AssertionError


def expect_line(child: subprocess.Popen[str], line: str) -> None:
    """Waits for a child's next line."""
    assert child.stdout is not None
    found = Waiter(child.stdout.readline).result()
    if found != line + "\n":
        child.kill()
        pytest.fail(f"expected {line!r}, found {found!r}; stderr: {child.communicate()[1]}")


class Waiter(threading.Thread):
    """Runs a call in a thread. `result` returns or raises what the call did."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._error: BaseException | None = None
        self._result: object = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error

    def is_over(self) -> bool:
        return not self.is_alive()

    def result(self) -> object:
        self.join(PATIENCE)
        assert not self.is_alive(), "the call is still waiting"
        if self._error is not None:
            raise self._error
        return self._result
