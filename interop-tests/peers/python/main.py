"""The Python peer of the conformance kit. `interop-tests/README.md` says what each scenario does."""

from __future__ import annotations

import argparse
import sys

import commands
import eshm
import flood
import ledger
import looped
import traffic
from observe import observe, observe_error, ready


def arguments() -> argparse.Namespace:
    """Read the command line that every peer has."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["master", "slave", "auto"])
    parser.add_argument("name")
    parser.add_argument("scenario", choices=["commands", "ledger", *SCENARIOS])
    parser.add_argument("--count", type=int, default=1000, help="how many numbered messages this side sends")
    parser.add_argument("--size", type=int, help="the segment's data size in bytes")
    parser.add_argument("--timeout-ms", type=int, default=10_000, help="the longest wait for anything")
    parser.add_argument("--seed", type=int, default=1, help="the series of this side's numbered messages")
    parser.add_argument("--queue", type=int, help="the queue capacity of `ledger`, in bytes")
    parser.add_argument("--journal", help="where `ledger` keeps its account")
    parser.add_argument("--asyncio", action="store_true", help="await in an event loop what waits")
    parsed = parser.parse_args()
    parsed.endpoint = looped.Endpoint if parsed.asyncio else eshm.Endpoint
    parsed.timeout = parsed.timeout_ms / 1000
    return parsed


def open_endpoint(args: argparse.Namespace, role: str, name: str, size: int | None) -> eshm.Endpoint:
    """Open an endpoint, and say so."""
    observe("opening")
    endpoint = args.endpoint(name, role=eshm.Role(role), data_size=size, connect_timeout=args.timeout)
    ready()
    return endpoint


SCENARIOS = {
    "echo": traffic.echo,
    "latest-value": traffic.latest_value,
    "both-directions": traffic.both_directions,
    "stream": traffic.stream,
    "flood": flood.flood,
}


def run(args: argparse.Namespace) -> None:
    """Run this side of the scenario; what is raised says why it did not hold."""
    if args.scenario == "commands":
        commands.run(args, open_endpoint)
        return
    if args.scenario == "ledger":
        ledger.run(args)
        return
    with open_endpoint(args, args.role, args.name, args.size) as endpoint:
        SCENARIOS[args.scenario](endpoint, args)


def main() -> int:
    """Return the exit status: 0 only when this side of the scenario held."""
    try:
        run(arguments())
    except eshm.Error as error:
        observe_error(error)
    except ValueError as error:
        observe("failed", reason=str(error))
    else:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
