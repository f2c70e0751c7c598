#!/usr/bin/env python3
"""A slave that prints what its master sends, in any language, and answers each message.

Start a master of the same name first, or within five seconds: simple_master.py, the C++ demo
`eshm_demo master`, or the Rust example.
"""

from __future__ import annotations

import argparse
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
    parser.add_argument("--count", type=int, default=0, metavar="N", help="messages to answer, 0: no end")
    parser.add_argument("--interval", type=float, default=0.0, metavar="S", help="seconds to rest after each")
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line at once, also into a pipe."""
    print(line, flush=True)


def run(name: str, count: int, interval: float) -> None:
    """Answer messages until the master closes its endpoint."""
    with eshm.Endpoint(name, role="slave") as robot:
        say(f"Initialized as {robot.role.name}")
        for number, message in enumerate(robot):
            say(f"[SLAVE] Received ({len(message)} bytes): {message.text()}")
            reply = f"ACK from Python slave #{number}"
            robot.send(eshm.encode_text(reply))
            say(f"[SLAVE] Sent: {reply}")
            if number + 1 == count:
                return
            time.sleep(interval)
        say("[SLAVE] The master has left")


def main() -> None:
    """Run until the master leaves, the count is reached, or SIGINT or SIGTERM comes."""
    args = arguments()
    say("=== ESHM Python Slave Example ===")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        run(args.name, args.count, args.interval)
    except KeyboardInterrupt:
        say("Stopped")
    except eshm.Error as error:
        sys.exit(f"simple_slave: {error}")


if __name__ == "__main__":
    main()
