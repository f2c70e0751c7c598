"""Calls a server of users and items: `python -m users_service.client --help`."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from users_service import json_wire
from users_service.clients import make_client
from users_service.errors import CallError
from users_service.methods import METHODS
from users_service.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from users_service.clients.base import Client

_USERS = {
    "list": ("Users.List", ()),
    "get": ("Users.Get", ("id",)),
    "create": ("Users.Create", ("name", "email")),
    "update": ("Users.Update", ("id", "name", "email")),
    "delete": ("Users.Delete", ("id",)),
    "search": ("Users.Search", ("q",)),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Make one call, or those that come on stdin; return the process's status."""
    options = _parser().parse_args(arguments)
    try:
        client = make_client(options.transport, options.address)
    except ValueError as error:
        print(f"users_service.client: {error}", file=sys.stderr)
        return 2
    if options.command == "worker":
        Worker(client, lambda: make_client(options.transport, options.address)).run(sys.stdin, sys.stdout)
        return 0
    try:
        for answer in _answers(client, options):
            sys.stdout.write(json_wire.dumps(answer).decode() + "\n")
            sys.stdout.flush()
    except CallError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


def _answers(client: Client, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    deadline = options.deadline_ms
    match options.command:
        case "echo":
            yield {"text": client.echo(options.text.encode(), 0, deadline).decode()}
        case "item":
            yield json_wire.write(_unary(client, "Items.Get", {"id": options.id}, deadline))
        case "items":
            method = METHODS["Items.List"]
            request = json_wire.read(method.request, {"first": options.first, "count": options.count})
            stream = client.stream(method, request, deadline)
            while (item := stream.receive()) is not None:
                yield json_wire.write(item)
        case "chat":
            yield from _chat(client, deadline)
        case command:
            name, fields = _USERS[command]
            reply = _unary(client, name, {field: getattr(options, field) for field in fields}, deadline)
            users = json_wire.write(reply)
            yield from users.get("users", [users])


def _unary(client: Client, name: str, fields: dict[str, Any], deadline: int) -> Any:
    return client.unary(METHODS[name], json_wire.read(METHODS[name].request, fields), deadline)


def _chat(client: Client, deadline: int) -> Iterator[dict[str, Any]]:
    method = METHODS["Items.Chat"]
    stream = client.stream(method, None, deadline)
    for line in sys.stdin:
        stream.send(json_wire.read(method.request, {"text": line.rstrip("\n")}))
        answer = stream.receive()
        if answer is None:
            return
        yield json_wire.write(answer)
    stream.finish()
    while (answer := stream.receive()) is not None:
        yield json_wire.write(answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m users_service.client",
        description="Calls a server of users and items. Prints JSON, one object per line; an error goes to stderr as "
        "CODE: message, with status 1.",
    )
    parser.add_argument("--transport", required=True, choices=("socket", "rest", "grpc", "unix", "eshm"))
    parser.add_argument("--address", required=True, metavar="A", help="what the server's READY line says")
    parser.add_argument(
        "--deadline-ms",
        type=_whole,
        default=0,
        metavar="N",
        help="how long each call may take (default: no limit)",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    about = {
        "list": "all users",
        "get": "one user",
        "create": "add a user",
        "update": "replace a user's name and e-mail address",
        "delete": "remove a user",
        "search": "users whose name or e-mail address contains Q",
    }
    for command, (_, fields) in _USERS.items():
        sub = commands.add_parser(command, help=about[command])
        for field in fields:
            sub.add_argument(field, metavar=field.upper())
    commands.add_parser("echo", help="send a text there and back").add_argument("text", metavar="TEXT")
    commands.add_parser("item", help="one item").add_argument("id", type=_whole, metavar="ID")
    items = commands.add_parser("items", help="a stretch of the catalogue, as a stream")
    items.add_argument("--first", type=_whole, default=1, metavar="N")
    items.add_argument("--count", type=_whole, default=100, metavar="N")
    commands.add_parser("chat", help="lines of stdin, each answered at once")
    commands.add_parser("worker", help="for programs: calls as JSON on stdin, answers as JSON on stdout")
    return parser


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 0xFFFF_FFFF:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number from 0 to {0xFFFF_FFFF}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
