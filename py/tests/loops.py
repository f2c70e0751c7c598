"""What the tests of event loops share."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eshm
from conftest import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

#: The threads that a process with endpoints has beside its own: those of the core, and the one that logs.
KNOWN_THREADS = ("eshm-monitor", "eshm-register", "eshm-logging")

#: What runs a scenario: `asyncio.run` or `uvloop.run`. The fixture `either_loop` sets it.
runner: list[Callable[..., None]] = [asyncio.run]


def run(scenario: Coroutine[Any, Any, None]) -> None:
    """Runs a scenario, which must start no thread."""
    before = set(threads())

    async def checked() -> None:
        await scenario
        # A thread has its name a moment after its start.
        while set(threads()) - before:
            await asyncio.sleep(0.001)

    runner[0](asyncio.wait_for(checked(), PATIENCE))


def threads() -> list[str]:
    """The threads of this process, but those that any process with endpoints has."""
    tasks = Path("/proc/self/task")
    names = {task.name: (task / "comm").read_text().strip() for task in tasks.iterdir()}
    logging = {str(thread.native_id) for thread in threading.enumerate() if thread.name in KNOWN_THREADS}
    return [
        f"{name} {task}" for task, name in names.items() if name not in KNOWN_THREADS and task not in logging
    ]


async def opened(name: str) -> tuple[eshm.AsyncEndpoint, eshm.AsyncEndpoint]:
    return await eshm.AsyncEndpoint.open(name, role="master"), await eshm.AsyncEndpoint.open(
        name, role="slave"
    )
