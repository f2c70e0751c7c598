"""The guide's benchmark, the slave's side: acknowledges each message, until the master leaves."""

import argparse

import eshm
from progress import Progress


def main() -> None:
    """Receive and acknowledge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("interval", type=int, nargs="?", default=1000, help="messages between two lines")
    args = parser.parse_args()
    with eshm.Endpoint(args.name, role="slave", connect_timeout=10.0) as slave:
        progress, lost, expected = Progress(args.interval), 0, 0
        try:
            while True:
                message = bytes(slave.recv())
                slave.send(message)
                received = int.from_bytes(message, "little")
                lost += received - expected
                expected = received + 1
                progress.count()
        except eshm.PeerClosedError:
            progress.finish(lost)


if __name__ == "__main__":
    main()
