"""The guide's benchmark, the master's side: sends messages, waits for the acknowledgement of each."""

import argparse

import eshm
from progress import Progress


def main() -> None:
    """Send and wait."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("interval", type=int, nargs="?", default=1000, help="messages between two lines")
    parser.add_argument("seconds", type=float, nargs="?", default=0.0, help="0: as long as the slave stays")
    args = parser.parse_args()
    with eshm.Endpoint(args.name, role="master") as master:
        master.wait_for_peer(10.0)
        progress, lost = Progress(args.interval), 0
        # Looking at the clock once in 16 messages does not show.
        while not args.seconds or progress.messages % 16 or progress.elapsed() < args.seconds:
            message = progress.messages.to_bytes(8, "little")
            master.send(message)
            lost += master.recv() != message
            progress.count()
        progress.finish(lost)


if __name__ == "__main__":
    main()
