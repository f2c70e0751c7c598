"""Serves users and items over sockets, REST, gRPC, a Unix socket and ESHM: `python -m users_service.server --help`."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from users_service.servers.context import Context, Server, split_address
from users_service.service import Service
from users_service.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence

TRANSPORTS = ("socket", "rest", "grpc", "unix", "eshm")
# The first byte of a socket's frame tells it from text.
_MOST_BYTES = (32 << 20) - 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; return the process's status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # Before any thread is started, so that all threads leave the signals to this one.
    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(Store(options.store))
            context = Context(Service(store), options.max_message, options.log_calls)
            try:
                addresses = {}
                for transport in options.transport or TRANSPORTS:
                    server = _start(transport, context, options)
                    stack.callback(server.stop)
                    addresses[transport] = server.address
                print("READY", json.dumps(addresses, separators=(",", ":")), flush=True)
                signal.sigwait(signals)
            finally:
                context.stopping.set()
    except (OSError, sqlite3.Error) as error:
        print(f"users_service.server: {error}", file=sys.stderr)
        return 1
    return 0


def _start(transport: str, context: Context, options: argparse.Namespace) -> Server:
    """Start one transport. Its libraries are loaded only now: each costs time and memory."""
    match transport:
        case "socket":
            from users_service.servers.over_socket import SocketServer  # noqa: PLC0415

            return SocketServer(context, options.socket_listen)
        case "rest":
            from users_service.servers.over_rest import RestServer  # noqa: PLC0415

            return RestServer(context, options.rest_listen)
        case "grpc":
            from users_service.servers.over_grpc import GrpcServer  # noqa: PLC0415

            return GrpcServer(context, options.grpc_listen)
        case "unix":
            from users_service.servers.over_unix import UnixServer  # noqa: PLC0415

            return UnixServer(context, options.unix_listen)
        case _:
            from users_service.servers.over_eshm import EshmServer  # noqa: PLC0415

            return EshmServer(context, options.eshm_name, options.eshm_clients, options.eshm_capacity)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m users_service.server",
        description="Serves users and items. When all transports are ready, prints one line: READY and their addresses "
        "as JSON. SIGTERM and SIGINT end it cleanly.",
    )
    add = parser.add_argument
    add("--transport", action="append", choices=TRANSPORTS, help="may be repeated; all five unless given")
    for transport in ("socket", "rest", "grpc"):
        add(
            f"--{transport}-listen",
            type=_address,
            default="127.0.0.1:0",
            metavar="HOST:PORT",
            help="where to listen; port 0 is any free one (default: %(default)s)",
        )
    add(
        "--unix-listen",
        default=str(Path(tempfile.gettempdir()) / f"users-{os.getpid()}.sock"),
        metavar="PATH",
        help="the Unix socket's file, which is made (default: users-PID.sock among the temporary files)",
    )
    add(
        "--eshm-name",
        default="users",
        metavar="NAME",
        help="segments NAME.0, NAME.1 … (default: %(default)s)",
    )
    add(
        "--eshm-clients",
        type=_count(1, 4096),
        default=64,
        metavar="N",
        help="as many segments (default: %(default)s)",
    )
    add(
        "--eshm-capacity",
        type=_count(4096, 1 << 36),
        default=256 << 10,
        metavar="BYTES",
        help="the greatest message through ESHM (default: %(default)s)",
    )
    add("--store", default=":memory:", metavar="PATH", help="a file of SQLite, or :memory: (the default)")
    add(
        "--max-message",
        type=_count(1024, _MOST_BYTES),
        default=16 << 20,
        metavar="BYTES",
        help="the greatest message that is taken or sent (default: %(default)s)",
    )
    add("--log-calls", action="store_true", help="one line per call on stderr: transport, method, code, time")
    return parser


def _address(text: str) -> str:
    try:
        split_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


class _count:  # noqa: N801 - used as a function
    """Reads a whole number between two bounds."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        if not text.isascii() or not text.isdigit() or not self._least <= int(text) <= self._most:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {self._least} to {self._most}")
        return int(text)


if __name__ == "__main__":
    sys.exit(main())
