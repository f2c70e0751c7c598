#!/usr/bin/env python3
"""Waits for an endpoint, a timer and a socket in one loop, without a thread.

The robot, another process, sends positions through shared memory. A client asks for the last one through a
Unix socket. A timer tells how many came. With --wait-set an `eshm.WaitSet` does the same without asyncio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import eshm

#: How many positions the robot sends.
POSITIONS = 5
#: How often the timer is due, in seconds.
TICK = 0.05


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def be_robot(name: str) -> None:
    """Send positions, each when the one before was acknowledged."""
    with eshm.Endpoint(name, role="slave") as robot:
        for number in range(POSITIONS):
            robot.send(eshm.encode_text(f"position {number}"))
            robot.recv()


def be_client(path: str) -> None:
    """Ask for the last position until it is the last of all."""
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(path)
            if connection.recv(100).decode() == f"position {POSITIONS - 1}":
                return
        time.sleep(0.01)


class Control:
    """What is done with each event."""

    def __init__(self) -> None:
        self.last = "none yet"
        self.count = 0
        self.has_told = False

    def take(self, message: eshm.Message) -> bytes:
        """Take note of a position, and return the answer."""
        self.last = message.text()
        self.count += 1
        say(f"[endpoint] {self.last}")
        return eshm.encode_text("ACK")

    def tick(self) -> None:
        """Tell what came, once that is all."""
        if self.count == POSITIONS and not self.has_told:
            self.has_told = True
            say(f"[timer] {self.count} positions came")

    def answer(self) -> bytes:
        """Return what a client is told."""
        return self.last.encode()


async def with_asyncio(name: str, listener: socket.socket, others: list[subprocess.Popen[bytes]]) -> None:
    """Run a task for each event."""
    control = Control()

    async def receive(robot: eshm.AsyncEndpoint) -> None:
        async for message in robot:
            await robot.send(control.take(message))
        say("[endpoint] the robot has left")

    async def tick() -> None:
        while not control.has_told:
            await asyncio.sleep(TICK)
            control.tick()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(control.answer())
        await writer.drain()
        writer.close()

    async with (
        await eshm.AsyncEndpoint.open(name, role="master") as robot,
        await asyncio.start_unix_server(serve, sock=listener),
        asyncio.TaskGroup() as group,
    ):
        others.append(start(name, "--be", "robot"))
        others.append(start(name, "--be", "client", "--socket", listener.getsockname()))
        group.create_task(receive(robot))
        group.create_task(tick())
        client = others[1]
        while client.poll() is None:
            await asyncio.sleep(TICK)
    say("[socket] the client knows the last position")


def with_wait_set(name: str, listener: socket.socket, others: list[subprocess.Popen[bytes]]) -> None:
    """Wait for all events in one place."""
    control = Control()
    has_left = False
    with eshm.Endpoint(name, role="master") as robot, eshm.WaitSet() as waits:
        waits.add(robot)
        waits.add(listener)
        others.append(start(name, "--be", "robot"))
        others.append(start(name, "--be", "client", "--socket", listener.getsockname()))
        due = time.monotonic() + TICK
        while not (has_left and control.has_told and others[1].poll() is not None):
            for token in waits.wait(max(0.0, due - time.monotonic())):
                if token is listener:
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(control.answer())
                else:
                    # Until it finds nothing: that arms the descriptor.
                    try:
                        while (message := robot.try_recv()) is not None:
                            robot.send(control.take(message))
                        has_left = has_left or robot.peer_state == eshm.PeerState.CLOSED
                    except eshm.PeerClosedError:
                        has_left = True
                    if has_left:
                        say("[endpoint] the robot has left")
                        waits.remove(robot)
            if time.monotonic() >= due:
                due += TICK
                control.tick()
    say("[socket] the client knows the last position")


def start(name: str, *options: str) -> subprocess.Popen[bytes]:
    """Start this program in another part."""
    return subprocess.Popen(  # noqa: S603 - itself
        [
            sys.executable,
            __file__,
            name,
            *options,
        ]
    )


def main() -> None:
    """Run until the robot and the client have ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="?", default=f"event-loop-{os.getpid()}", help="the segment's name")
    parser.add_argument("--wait-set", action="store_true", help="use a WaitSet in place of asyncio")
    parser.add_argument("--be", choices=["robot", "client"], help=argparse.SUPPRESS)
    parser.add_argument("--socket", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be == "robot":
        be_robot(args.name)
        return
    if args.be == "client":
        be_client(args.socket)
        return
    others: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(Path(folder) / "socket"))
        listener.listen()
        if args.wait_set:
            with_wait_set(args.name, listener, others)
        else:
            asyncio.run(with_asyncio(args.name, listener, others))
        for other in others:
            other.wait()


if __name__ == "__main__":
    main()
