"""In the event loop of asyncio: ESHM, and a Unix socket.

The roles and the observations are those of contestant.py.
"""

from __future__ import annotations

import asyncio
import sys
from statistics import median
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import eshm

if TYPE_CHECKING:
    import argparse

# How many round trips there are between two looks at the clock.
ROUND = 64
STOP = (1 << 64) - 1
REPLY = 100
PERIOD = 251
# Timed messages repeat after so many different ones.
MADE = 64

Observation = dict[str, object]


class Queue:
    """An endpoint."""

    def __init__(self, name: str, endpoint: eshm.Endpoint) -> None:
        self.name = name
        self.link = eshm.AsyncEndpoint(endpoint)
        self.send = self.link.send
        self.recv = self.link.recv

    @staticmethod
    async def open(args: argparse.Namespace, *, follows: bool) -> list[Queue]:
        """Open one side of each connection."""
        names = [f"{args.name}-{index}" for index in range(args.window)]
        # As bench/src/contestants/ours.rs.
        capacity = 4 << 20 if args.size >= 16 << 10 else 256 << 10
        options: dict[str, Any] = {"role": "slave"}
        if follows:
            options = {"role": "master", "data_size": max(args.size, 4096), "queue_capacity": capacity}
        links = [Queue(name, eshm.Endpoint(name, **options)) for name in names]
        if follows:
            print("READY", flush=True)
        for link in links:
            await link.link.wait_for_peer()
        return links


class Socket:
    """A Unix stream socket, with the streams of asyncio."""

    def __init__(self, size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.size = size
        self.reader = reader
        self.writer = writer

    async def send(self, message: bytes) -> None:
        """Send a message."""
        self.writer.write(message)
        await self.writer.drain()

    async def recv(self) -> bytes:
        """Receive the next message."""
        return await self.reader.readexactly(self.size)

    @staticmethod
    async def open(args: argparse.Namespace, *, follows: bool) -> list[Socket]:
        """Open one side of each connection."""
        path = f"/dev/shm/{args.name}.sock"  # noqa: S108 (the runner removes what has its prefix)
        limit = max(2 * args.size, 64 << 10)
        links: list[Socket] = []
        if not follows:
            for _ in range(args.window):
                links.append(Socket(args.size, *await asyncio.open_unix_connection(path, limit=limit)))
            return links
        complete = asyncio.Event()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            links.append(Socket(args.size, reader, writer))
            if len(links) == args.window:
                complete.set()

        await asyncio.start_unix_server(accept, path, limit=limit)
        print("READY", flush=True)
        await complete.wait()
        return links


def ramp(size: int, seq: int) -> bytes:
    """Make message `seq` of the check: see src/payload.rs."""
    return (bytes(range(PERIOD)) * (size // PERIOD + 2))[seq % PERIOD :][:size]


def numbered(args: argparse.Namespace, seq: int) -> bytes:
    """Make message `seq` of the timing."""
    return seq.to_bytes(8, "little") * (args.size // 8)


async def ask(link: Queue | Socket, args: argparse.Namespace) -> tuple[list[float], int]:
    """Check the content, make round trips, and return the times per trip and the losses."""
    for seq in range(args.verify):
        await link.send(ramp(args.size, seq))
        if await link.recv() != ramp(args.size, seq + REPLY):
            sys.exit(f"message {seq} of the check does not have the content that was sent")
    made = [numbered(args, seq) for seq in range(MADE)]
    send, recv = link.send, link.recv
    budget = args.budget_ms * 1_000_000
    lost, batches = 0, []
    started = now = perf_counter_ns()
    size = ROUND if args.size < 64 << 10 and not args.many else 8
    while now - started < budget:
        batch = now
        for message in made[:size]:
            await send(message)
            lost += await recv() != message
        now = perf_counter_ns()
        batches.append((now - batch) / size)
    await send(numbered(args, STOP))
    return [time for time in batches for _ in range(size)], lost


async def answer(link: Queue | Socket, args: argparse.Namespace) -> None:
    """Be the other side of `ask`."""
    for seq in range(args.verify):
        if await link.recv() != ramp(args.size, seq):
            sys.exit(f"message {seq} of the check does not have the content that was sent")
        await link.send(ramp(args.size, seq + REPLY))
    send, recv, stop = link.send, link.recv, numbered(args, STOP)
    while (message := await recv()) != stop:
        await send(message)


async def run(args: argparse.Namespace) -> Observation:
    """Run one side of a measurement."""
    follows = args.role == "echo"
    kind = Queue if args.what == "loop" else Socket
    links = await kind.open(args, follows=follows)
    if follows:
        await asyncio.gather(*(answer(link, args) for link in links))
        return {}
    started = perf_counter_ns()
    asked = await asyncio.gather(*(ask(link, args) for link in links))
    elapsed = perf_counter_ns() - started
    messages = sum(len(times) for times, _ in asked)
    lost = sum(lost for _, lost in asked)
    # The first tenth warms up.
    ns = elapsed / messages if args.many else median(asked[0][0][len(asked[0][0]) // 10 :])
    return {"ns": ns, "messages": messages, "lost": lost}
