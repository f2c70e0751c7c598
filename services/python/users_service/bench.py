"""Times echoes."""

from __future__ import annotations

import collections
import statistics
import time
from typing import TYPE_CHECKING, Any

from users_service.errors import CallError, invalid

if TYPE_CHECKING:
    from users_service.clients.base import Client

#: Values of so many bits are counted exactly, and greater ones by as many leading bits: three significant figures.
_BITS = 11


def pattern(size: int) -> bytes:
    """Return bytes of which no two neighbours are alike."""
    period = bytes((index * 31 + 7) % 256 for index in range(256))
    return (period * (size // 256 + 1))[:size]


def bench(
    client: Client,
    *,
    calls: int,
    payload: int,
    reuse: bool,
    warmup: int = 0,
    pause_us: int = 0,
) -> dict[str, Any]:
    """Echo `payload` bytes `calls` times, on one connection if `reuse`; return times and errors.

    Before each call that is timed there is a pause of `pause_us` microseconds.
    """
    sent = pattern(payload)
    for _ in range(warmup):
        client.echo(sent)
    latencies: list[int] = []
    errors = 0
    cpu_began, began = time.process_time(), time.perf_counter()
    for number in range(calls):
        if not reuse:
            client.close()
        if pause_us:
            time.sleep(pause_us / 1e6)
        start = time.perf_counter_ns()
        try:
            answer = client.echo(sent)
        except CallError:
            errors += 1
            continue
        latencies.append(time.perf_counter_ns() - start)
        if len(answer) != payload or (number in (0, calls - 1) and answer != sent):
            errors += 1
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
    if not latencies:
        raise invalid(f"none of {calls} calls succeeded")
    return {
        "latencies_ns": _summary(latencies),
        "histogram": sorted(collections.Counter(map(bucket, latencies)).items()),
        "seconds": seconds,
        "errors": errors,
        "cpu_seconds": cpu_seconds,
    }


def bucket(value: int) -> int:
    """Return the greatest value that an HDR histogram does not tell from this one."""
    shift = max(value.bit_length() - _BITS, 0)
    return ((value >> shift) + 1 << shift) - 1


def _summary(latencies: list[int]) -> dict[str, Any]:
    ordered = sorted(latencies)

    def quantile(share: float) -> int:
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

    return {
        "count": len(ordered),
        "mean": statistics.fmean(ordered),
        "min": ordered[0],
        "max": ordered[-1],
        "stdev": statistics.pstdev(ordered),
        "p50": quantile(0.5),
        "p99": quantile(0.99),
        "p999": quantile(0.999),
    }
