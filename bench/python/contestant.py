"""ESHM and Unix sockets from Python, as one process of a measurement.

The command line is that of src/contestants/mod.rs.

A loop that is timed sends and receives, and compares what it has got with what it expects. Numbers and
payloads are made before, since making them would be timed otherwise.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import socket
import sys
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter_ns, sleep
from typing import Any

import eshm
import loops

STOP = (1 << 64) - 1
REPLY = 100
PERIOD = 251
BATCH = 64
# How many round trips there are between two looks at the clock.
ROUND = 64
# Timed messages repeat after so many different ones: PYTHON_PERIOD in src/cases.rs.
MADE = 1024
# So many bursts are made at least, however long they take.
FEWEST_BURSTS = 5

Observation = dict[str, object]
# The methods of the binding themselves: a wrapper would be timed too.
Send = Callable[[bytes], object]
Recv = Callable[[], Any]


def ramp(size: int, seq: int) -> bytes:
    """Make message `seq` of the check: see src/payload.rs."""
    return (bytes(range(PERIOD)) * (size // PERIOD + 2))[seq % PERIOD :][:size]


def numbered(args: argparse.Namespace, seq: int) -> bytes:
    """Make message `seq` of the timing."""
    word = seq.to_bytes(8, "little")
    return word * (args.size // 8) if args.touched else word + bytes(args.size - 8)


class Queue:
    """`send` and `recv`, one call per message."""

    def __init__(self, args: argparse.Namespace) -> None:
        endpoint = partial(eshm.Endpoint, wait="park") if args.what == "park" else eshm.Endpoint
        if args.role in ("echo", "sink"):
            capacity = max(args.size, 256 << 10)
            self.endpoint = endpoint(
                args.name, role="master", data_size=max(args.size, 4096), queue_capacity=capacity
            )
            print("READY", flush=True)
        else:
            self.endpoint = endpoint(args.name, role="slave")
        self.endpoint.wait_for_peer(5.0)
        self.send: Send = self.endpoint.send
        self.recv: Recv = self.endpoint.recv

    def wakeups(self) -> int:
        """Count the system calls made to wake the peer."""
        return self.endpoint.stats().wakeups


class Mailbox(Queue):
    """`write` and `read`: the latest value."""

    def __init__(self, args: argparse.Namespace) -> None:
        super().__init__(args)
        self.send = self.endpoint.write
        self.recv = self.endpoint.read


class Seqpacket:
    """A Unix socket that keeps messages apart."""

    def __init__(self, args: argparse.Namespace) -> None:
        path = f"/dev/shm/{args.name}.sock"  # noqa: S108 (the runner removes what has its prefix)
        end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if args.role in ("echo", "sink"):
            end.bind(path)
            end.listen(1)
            print("READY", flush=True)
            self.socket, _ = end.accept()
        else:
            end.connect(path)
            self.socket = end
        self.send: Send = self.socket.send
        self.recv: Recv = partial(self.socket.recv, args.size)

    def wakeups(self) -> int:
        """Count nothing: the kernel wakes the peer."""
        return 0


def used() -> tuple[int, int]:
    """Return the processor time of this process in nanoseconds, and how often it left the processor."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return round((usage.ru_utime + usage.ru_stime) * 1e9), usage.ru_nvcsw + usage.ru_nivcsw


def used_since(before: tuple[int, int]) -> Observation:
    """Tell what was used since."""
    now = used()
    return {"cpu_ns": now[0] - before[0], "switches": now[1] - before[1]}


def ask(link: Queue | Seqpacket, args: argparse.Namespace) -> None:
    """Have both directions checked for content, and tell either side that the other is there."""
    for seq in range(args.verify):
        link.send(ramp(args.size, seq))
        expect_ramp(link, args, seq + REPLY)
    sleep(args.settle_ms / 1000)
    if args.gate:
        print("READY", flush=True)
        sys.stdin.readline()


def answer(link: Queue | Seqpacket, args: argparse.Namespace) -> None:
    """Be the other side of `ask`."""
    for seq in range(args.verify):
        expect_ramp(link, args, seq)
        link.send(ramp(args.size, seq + REPLY))


def expect_ramp(link: Queue | Seqpacket, args: argparse.Namespace, seq: int) -> None:
    """Receive a message of the check."""
    if bytes(link.recv()) != ramp(args.size, seq):
        sys.exit(f"message {seq} of the check does not have the content that was sent")


def drive(link: Queue | Seqpacket, args: argparse.Namespace) -> Observation:
    """Make round trips."""
    ask(link, args)
    made = [numbered(args, seq) for seq in range(MADE)]
    before, usage = link.wakeups(), used()
    observed = bursts(link, args, made) if args.burst else round_trips(link, args, made)
    observed |= used_since(usage) | {"wakeups": link.wakeups() - before}
    link.send(numbered(args, STOP))
    return observed


def round_trips(link: Queue | Seqpacket, args: argparse.Namespace, made: list[bytes]) -> Observation:
    """Make one after the other."""
    send, recv = link.send, link.recv
    budget = args.budget_ms * 1_000_000
    lost, batches, trips, at = 0, [], [], 0
    started = now = perf_counter_ns()
    while now - started < budget * 7 // 10:
        batch = now
        for message in made[at : at + ROUND]:
            send(message)
            lost += recv() != message
        at = (at + ROUND) % MADE
        now = perf_counter_ns()
        batches.append((now - batch) / ROUND)
    while now - started < budget:
        message = made[at]
        trip = perf_counter_ns()
        send(message)
        lost += recv() != message
        trips.append((now := perf_counter_ns()) - trip)
        at = (at + 1) % MADE
    messages = len(batches) * ROUND + len(trips)
    return {
        # The first tenth warms up.
        "ns": median(batches[len(batches) // 10 :]),
        "mean": (now - started) / messages,
        "messages": messages,
        "lost": lost,
        "latency": latency(trips),
    }


def bursts(link: Queue | Seqpacket, args: argparse.Namespace, made: list[bytes]) -> Observation:
    """Make some after each rest."""
    send, recv = link.send, link.recv
    budget, rest = args.budget_ms * 1_000_000, args.rest_ms / 1000
    burst = (made * (args.burst // MADE + 1))[1 : args.burst]
    lost = 0
    times: list[tuple[int, float]] = []
    started = perf_counter_ns()
    while len(times) < FEWEST_BURSTS or perf_counter_ns() - started < budget:
        sleep(rest)
        begun = perf_counter_ns()
        send(made[0])
        lost += recv() != made[0]
        first = perf_counter_ns() - begun
        for message in burst:
            send(message)
            lost += recv() != message
        times.append((first, (perf_counter_ns() - begun) / args.burst))
    ns = median(each for _, each in times)
    return {"ns": ns, "messages": len(times) * args.burst, "lost": lost, "bursts": times}


def latency(trips: list[int]) -> Observation | None:
    """Tell the percentiles of single trips."""
    trips.sort()
    at = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
    return {name: trips[int(share * (len(trips) - 1))] for name, share in at.items()} if trips else None


def echo(link: Queue | Seqpacket, args: argparse.Namespace) -> Observation:
    """Answer with what it has received, which the driver compares with what it has sent."""
    answer(link, args)
    send, recv, stop = link.send, link.recv, numbered(args, STOP)
    message = recv()
    # The timing begins with the first message: the driver may have rested before it.
    before, usage = link.wakeups(), used()
    while message != stop:
        send(message)
        message = recv()
    return used_since(usage) | {"wakeups": link.wakeups() - before}


def source(link: Queue | Seqpacket, args: argparse.Namespace) -> Observation:
    """Stream at full speed."""
    ask(link, args)
    made = [numbered(args, seq) for seq in range(MADE)]
    send = link.send
    usage = used()
    budget, started = args.budget_ms * 1_000_000, perf_counter_ns()
    while perf_counter_ns() - started < budget:
        for message in made:
            send(message)
    send(numbered(args, STOP))
    return used_since(usage)


def sink(link: Queue | Seqpacket, args: argparse.Namespace) -> Observation:
    """Receive a stream, one call per message."""
    answer(link, args)
    made = [numbered(args, seq) for seq in range(MADE)]
    stop, recv = numbered(args, STOP), link.recv
    lost = rounds = 0
    usage, started = used(), perf_counter_ns()
    while True:
        for message in made:
            received = recv()
            if received != message:
                if received == stop:
                    return streamed(perf_counter_ns() - started, rounds * MADE, lost) | used_since(usage)
                lost += 1
        rounds += 1


def source_batches(link: Queue, args: argparse.Namespace) -> Observation:
    """Stream in batches."""
    ask(link, args)
    made = [numbered(args, seq) for seq in range(MADE)]
    batches = [made[start : start + BATCH] for start in range(0, MADE, BATCH)]
    send_many = link.endpoint.send_many
    budget, started = args.budget_ms * 1_000_000, perf_counter_ns()
    while perf_counter_ns() - started < budget:
        for batch in batches:
            send_many(batch)
    link.send(numbered(args, STOP))
    return {}


def sink_batches(link: Queue, args: argparse.Namespace) -> Observation:
    """Receive in batches of any length, and compare them with the stream that they shall be cut from."""
    answer(link, args)
    # Twice, so that a batch that goes beyond the end is a slice too.
    made = [numbered(args, seq) for seq in range(MADE)] * 2
    stop, recv_many = numbered(args, STOP), link.endpoint.recv_many
    lost = count = 0
    started = perf_counter_ns()
    while True:
        batch = recv_many(BATCH)
        at = count % MADE
        if batch != made[at : at + len(batch)]:
            wrong = [message for index, message in enumerate(batch) if message != made[at + index]]
            if stop in wrong:
                lost += len(wrong) - 1
                return streamed(perf_counter_ns() - started, count + len(batch) - 1, lost)
            lost += len(wrong)
        count += len(batch)


def streamed(elapsed: int, messages: int, lost: int) -> Observation:
    """Tell what a stream gave."""
    return {"ns": elapsed / max(messages, 1), "messages": messages, "lost": lost}


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("role", choices=("drive", "echo", "source", "sink"))
    parser.add_argument(
        "what", choices=("queue", "park", "mailbox", "batch", "seqpacket", "loop", "loop-unix")
    )
    parser.add_argument("name")
    parser.add_argument("--size", type=int, default=56)
    parser.add_argument("--budget-ms", type=int, default=200)
    parser.add_argument("--verify", type=int, default=16)
    parser.add_argument("--window", type=int, default=1)
    parser.add_argument("--many", action="store_true")
    parser.add_argument("--touched", action="store_true")
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--rest-ms", type=int, default=0)
    parser.add_argument("--settle-ms", type=int, default=0)
    parser.add_argument("--gate", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Run one side of a measurement."""
    args = parse()
    # The collector would show in the worst case, and is not what is measured.
    gc.disable()
    if args.what in ("loop", "loop-unix"):
        observed = asyncio.run(loops.run(args))
    elif args.what == "batch":
        batches = {"source": source_batches, "sink": sink_batches}
        observed = batches[args.role](Queue(args), args)
    else:
        ends: dict[str, type[Queue | Seqpacket]] = {
            "queue": Queue,
            "park": Queue,
            "mailbox": Mailbox,
            "seqpacket": Seqpacket,
        }
        single = {"drive": drive, "echo": echo, "source": source, "sink": sink}
        observed = single[args.role](ends[args.what](args), args)
    if args.role in ("drive", "source"):
        # The runner says, by closing it, that the other side is done.
        sys.stdin.read()
    print(json.dumps(observed))


if __name__ == "__main__":
    main()
