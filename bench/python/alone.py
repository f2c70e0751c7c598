"""What each call of Python takes alone: both ends in one process, in turns, so that no cache line moves.

Beside them, what the interpreter takes for as much: a call of a builtin function, and equal `bytes` objects.
Run it on an otherwise idle processor: see bench/README.md.
"""

from __future__ import annotations

import gc
import os
import struct
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING

import eshm

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 56
BATCH = 64
COUNT = 12 * BATCH
TURNS = 300


def messages() -> list[bytes]:
    """Make different messages."""
    return [number.to_bytes(8, "little") * (SIZE // 8) for number in range(COUNT)]


def each(call: Callable[[bytes], object], made: list[bytes]) -> None:
    """Call it for each message."""
    for message in made:
        call(message)


def each_compared(call: Callable[[], object], made: list[bytes]) -> int:
    """Call it for each message, and count what differs."""
    lost = 0
    for message in made:
        if call() != message:
            lost += 1
    return lost


def batches_compared(call: Callable[[], object], batches: list[object]) -> int:
    """Call it for each batch, and count what differs."""
    return sum(call() != batch for batch in batches)


def main() -> None:
    """Measure all of it in turns."""
    gc.disable()
    name = f"alone-{os.getpid()}"
    made = messages()
    batches = [made[start : start + BATCH] for start in range(0, COUNT, BATCH)]
    view = memoryview(made[0])
    unpack, joined = struct.Struct(f"{SIZE}s" * BATCH).unpack, b"".join(batches[0])
    with eshm.Endpoint(name, role="master") as master, eshm.Endpoint(name, role="slave") as slave:
        master.wait_for_peer(5.0)
        whole: list[object] = list(batches)
        tuples: list[object] = [tuple(batches[0])] * len(batches)
        jobs: dict[str, Callable[[], object]] = {
            "len": lambda: each(len, made),
            "memoryview.tobytes, compared": lambda: each_compared(view.tobytes, made),
            "send": lambda: each(master.send, made),
            "recv, compared": lambda: each_compared(slave.recv, made),
            "struct.unpack of 64, compared": lambda: batches_compared(lambda: unpack(joined), tuples),
            "send_many of 64": lambda: [master.send_many(batch) for batch in batches],
            "recv_many of 64, compared": lambda: batches_compared(lambda: slave.recv_many(BATCH), whole),
        }
        times: dict[str, list[int]] = {title: [] for title in jobs}
        for _ in range(TURNS):
            for title, job in jobs.items():
                started = perf_counter_ns()
                job()
                times[title].append(perf_counter_ns() - started)
    for title, taken in times.items():
        print(f"{title:40} {median(taken) / COUNT:6.1f} ns")


if __name__ == "__main__":
    main()
