"""64 clients at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Pairing
    from programs import Agent

CLIENTS, CALLS, PROCESSES = 64, 20, 2


def test_no_answer_is_lost_or_crossed(pairing: Pairing, agents: Callable[[Pairing, int], Agent]) -> None:
    crowd = [agents(pairing, number) for number in range(PROCESSES)]
    for agent in crowd:
        agent.begin("crowd", clients=CLIENTS // PROCESSES, calls=CALLS)
    for agent in crowd:
        assert agent.end() == {"calls": CLIENTS // PROCESSES * CALLS, "lost": 0, "crossed": 0}
