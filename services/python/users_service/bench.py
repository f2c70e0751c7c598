"""Times calls."""

from __future__ import annotations

import collections
import contextlib
import secrets
import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from users_service.errors import CallError, invalid
from users_service.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.message import Message

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
    call: str = "echo",
    calls: int,
    payload: int,
    reuse: bool,
    warmup: int = 0,
    pause_us: int = 0,
) -> dict[str, Any]:
    """Make a call `calls` times, on one connection if `reuse`; return times and errors.

    call: "echo" of `payload` bytes, or "get" of a user that is created before, which reads the store. Before each call
    that is timed there is a pause of `pause_us` microseconds.
    """
    with contextlib.ExitStack() as stack:
        expected: Any
        if call == "get":
            request, expected = stack.enter_context(_user(client))
            work: Callable[[], Any] = partial(client.unary, METHODS["Users.Get"], request)
        elif call == "echo":
            expected = pattern(payload)
            work = partial(client.echo, expected)
        else:
            raise invalid(f"there is no timing of '{call}'")
        for _ in range(warmup):
            work()
        return _time(client, work, expected, calls, reuse=reuse, pause_us=pause_us)


@contextlib.contextmanager
def _user(client: Client) -> Iterator[tuple[Message, Message]]:
    """Create a user, and remove it in the end. Yields the request that gets it, and the user."""
    create, get, delete = (METHODS[f"Users.{name}"] for name in ("Create", "Get", "Delete"))
    made: Any = {"name": "Bench", "email": f"bench.{secrets.token_hex(8)}@example.org"}
    user: Any = client.unary(create, create.request(**made))
    try:
        yield get.request(id=user.id), user
    finally:
        client.unary(delete, delete.request(id=user.id))


def _time(
    client: Client, work: Callable[[], Any], expected: Any, calls: int, *, reuse: bool, pause_us: int
) -> dict[str, Any]:
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
            answer = work()
        except CallError:
            errors += 1
            continue
        latencies.append(time.perf_counter_ns() - start)
        # All of an echo's content is compared at the ends only.
        whole = number in (0, calls - 1) or not isinstance(answer, bytes)
        if (answer != expected) if whole else (len(answer) != len(expected)):
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
