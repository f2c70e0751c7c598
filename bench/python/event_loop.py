"""An echo between two event loops, over AsyncEndpoint and over Unix sockets.

Usage: event_loop.py [--uvloop] [--size BYTES] [--clients N] [--rounds N] CONTESTANT

CONTESTANT is eshm, streams (asyncio.StreamReader) or sock (loop.sock_recv). Prints the time of a round trip and the
number of round trips per second. Each client makes one call after the other; all clients run in one loop, and their
servers in that of another process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Contest:
    """What the contestants have in common."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.size, self.clients, self.rounds = args.size, args.clients, args.rounds
        self.key: str = args.key
        self.path = f"/tmp/{self.key}.sock"
        self.payload = bytes(self.size)

    async def measure(self, peers: list[Any], call: Callable[[Any], Awaitable[int]]) -> None:
        """Print what the calls of all clients take."""

        async def run(peer: Any, count: int) -> None:
            for _ in range(count):
                assert await call(peer) == self.size

        each = max(1, self.rounds // self.clients)
        await asyncio.gather(*(run(peer, each // 10 + 1) for peer in peers))
        started = time.perf_counter()
        await asyncio.gather(*(run(peer, each) for peer in peers))
        passed = time.perf_counter() - started
        calls = each * self.clients
        print(f"{passed / calls * 1e6:.1f} us per call, {calls / passed:.0f} calls per second")


class Eshm(Contest):
    """An AsyncEndpoint for each client."""

    async def serve(self) -> None:
        """Echo until all clients have left."""
        import eshm

        capacity = max(1 << 18, 4 * self.size)
        opened = [
            await eshm.AsyncEndpoint.open(f"{self.key}-{number}", role="master", queue_capacity=capacity)
            for number in range(self.clients)
        ]
        print("ready", flush=True)

        async def echo(endpoint: eshm.AsyncEndpoint) -> None:
            async with endpoint:
                async for message in endpoint:
                    await endpoint.send(message)

        await asyncio.gather(*map(echo, opened))

    async def call_all(self) -> None:
        """Measure, as the clients."""
        import eshm

        opened = [await eshm.AsyncEndpoint.open(f"{self.key}-{number}", role="slave") for number in range(self.clients)]

        async def call(endpoint: eshm.AsyncEndpoint) -> int:
            await endpoint.send(self.payload)
            return len(await endpoint.recv())

        await self.measure(opened, call)
        for endpoint in opened:
            endpoint.close()


class Streams(Contest):
    """A pair of streams for each client."""

    async def serve(self) -> None:
        """Echo until all clients have left."""
        over, left = asyncio.Event(), self.clients

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal left
            try:
                while True:
                    writer.write(await reader.readexactly(self.size))
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()
            left -= 1
            if left == 0:
                over.set()

        limit = max(1 << 16, self.size)
        server = await asyncio.start_unix_server(echo, self.path, limit=limit, backlog=self.clients)
        print("ready", flush=True)
        await over.wait()
        server.close()
        Path(self.path).unlink(missing_ok=True)

    async def call_all(self) -> None:
        """Measure, as the clients."""
        limit = max(1 << 16, self.size)
        peers = [await asyncio.open_unix_connection(self.path, limit=limit) for _ in range(self.clients)]

        async def call(peer: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> int:
            peer[1].write(self.payload)
            await peer[1].drain()
            return len(await peer[0].readexactly(self.size))

        await self.measure(peers, call)
        for _, writer in peers:
            writer.close()


class Sock(Contest):
    """A socket for each client, with the loop's own calls."""

    async def receive(self, peer: socket.socket) -> bytes | bytearray:
        """Return a message, or nothing when the peer has left."""
        loop = asyncio.get_running_loop()
        first = await loop.sock_recv(peer, min(self.size, 1 << 16))
        if not first or len(first) == self.size:
            return first
        whole = bytearray(self.size)
        whole[: len(first)] = first
        came = len(first)
        while came < self.size:
            came += await loop.sock_recv_into(peer, memoryview(whole)[came:])
        return whole

    async def serve(self) -> None:
        """Echo until all clients have left."""
        loop = asyncio.get_running_loop()

        async def echo(peer: socket.socket) -> None:
            with peer:
                while message := await self.receive(peer):
                    await loop.sock_sendall(peer, message)

        with socket.socket(socket.AF_UNIX) as listener:
            listener.setblocking(False)
            listener.bind(self.path)
            listener.listen(self.clients)
            print("ready", flush=True)
            peers = [(await loop.sock_accept(listener))[0] for _ in range(self.clients)]
        Path(self.path).unlink()
        for peer in peers:
            peer.setblocking(False)
        await asyncio.gather(*map(echo, peers))

    async def call_all(self) -> None:
        """Measure, as the clients."""
        loop = asyncio.get_running_loop()
        peers = [socket.socket(socket.AF_UNIX) for _ in range(self.clients)]
        for peer in peers:
            peer.setblocking(False)
            await loop.sock_connect(peer, self.path)

        async def call(peer: socket.socket) -> int:
            await loop.sock_sendall(peer, self.payload)
            return len(await self.receive(peer))

        await self.measure(peers, call)
        for peer in peers:
            peer.close()


CONTESTANTS: dict[str, type[Eshm | Streams | Sock]] = {"eshm": Eshm, "streams": Streams, "sock": Sock}


def main() -> None:
    """Measure, or be the server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("contestant", choices=CONTESTANTS)
    parser.add_argument("--uvloop", action="store_true", help="use uvloop in place of asyncio's own loop")
    parser.add_argument("--size", type=int, default=64, help="bytes per message")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5000, help="calls of all clients together")
    parser.add_argument("--key", default=f"event-loop-{os.getpid()}", help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    run = asyncio.run
    if args.uvloop:
        import uvloop

        run = uvloop.run
    contest = CONTESTANTS[args.contestant](args)
    if args.serve:
        run(contest.serve())
        return
    command = [sys.executable, __file__, *sys.argv[1:], "--serve", "--key", args.key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        run(contest.call_all())


if __name__ == "__main__":
    main()
