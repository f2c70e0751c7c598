"""64 clients at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Pairing
    from programs import Worker

CLIENTS, CALLS, PROCESSES = 64, 20, 2


def test_no_answer_is_lost_or_crossed(pairing: Pairing, workers: Callable[[Pairing, int], Worker]) -> None:
    crowd = [workers(pairing, number) for number in range(PROCESSES)]
    for worker in crowd:
        worker.begin("crowd", clients=CLIENTS // PROCESSES, calls=CALLS)
    for worker in crowd:
        assert worker.end() == {"calls": CLIENTS // PROCESSES * CALLS, "lost": 0, "crossed": 0}
