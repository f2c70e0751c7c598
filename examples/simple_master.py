#!/usr/bin/env python3
"""A master that greets its slave, in any language, and prints the answers.

Start it, then a slave of the same name: simple_slave.py, the C++ demo `eshm_demo slave`, or the Rust example.
"""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import time

import eshm


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("name", nargs="?", default="eshm1", help="the segment's name")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="messages to send, 0: no end")
    parser.add_argument("--interval", type=float, default=1.0, metavar="S", help="seconds between messages")
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def send(robot: eshm.Endpoint, text: str) -> None:
    """Send `text`; if the slave is gone with the message before unread, to the next slave."""
    while True:
        try:
            robot.send(eshm.encode_text(text))
        except (eshm.PeerClosedError, eshm.PeerStaleError):
            say("[MASTER] The slave has left, waiting for another")
            robot.wait_for_peer()
        else:
            say(f"[MASTER] Sent: {text}")
            return


def run(name: str, count: int, interval: float) -> None:
    """Send numbered messages, and wait a while for the answer to each."""
    with eshm.Endpoint(name, role="master") as robot:
        say(f"Initialized as {robot.role.name}")
        for number in range(count) if count else itertools.count():
            send(robot, f"Hello from Python master #{number}")
            try:
                say(f"[MASTER] Received: {robot.recv(timeout=max(interval, 1.0)).text()}")
            except eshm.TimeoutError:
                continue  # The message keeps; its answer will come before the next one's.
            time.sleep(interval)


def main() -> None:
    """Run until the count is reached, or SIGINT or SIGTERM comes."""
    args = arguments()
    say("=== ESHM Python Master Example ===")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        run(args.name, args.count, args.interval)
    except KeyboardInterrupt:
        say("Stopped")
    except eshm.Error as error:
        sys.exit(f"simple_master: {error}")


if __name__ == "__main__":
    main()
