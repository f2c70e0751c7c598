"""What the comparison asks of the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conftest import fails

if TYPE_CHECKING:
    from programs import Worker


@pytest.mark.parametrize("call", ["echo", "get"])
def test_calls_are_timed_and_leave_nothing(call: str, worker: Worker) -> None:
    before = worker.ask("list")
    found = worker.ask("bench", call=call, calls=20, payload=100, reuse=True, warmup=2)
    assert found["errors"] == 0
    assert found["latencies_ns"]["count"] == 20
    assert sum(count for _, count in found["histogram"]) == 20
    assert worker.ask("list") == before


def test_there_is_no_timing_of_other_calls(worker: Worker) -> None:
    assert fails(worker, "bench", call="nothing", calls=1, payload=1, reuse=True) == "INVALID_ARGUMENT"
