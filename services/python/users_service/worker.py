"""The client for programs: one call per line of stdin, one answer per line of stdout."""

from __future__ import annotations

import contextlib
import signal
import struct
import threading
from typing import IO, TYPE_CHECKING, Any

from users_service import json_wire
from users_service.bench import bench, pattern
from users_service.errors import CallError, Code, as_call_error, invalid
from users_service.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from users_service.clients.base import Client, Stream

_UNARY = {
    "list": "Users.List",
    "get": "Users.Get",
    "create": "Users.Create",
    "update": "Users.Update",
    "delete": "Users.Delete",
    "search": "Users.Search",
    "item_get": "Items.Get",
}


class Worker:
    """Makes calls with `client`; `make_client` returns further ones."""

    def __init__(self, client: Client, make_client: Callable[[], Client]) -> None:
        self._client = client
        self._make_client = make_client
        self._output: IO[str]
        self._ops: dict[str, Callable[..., dict[str, Any]]] = {
            "connect": self._connect,
            "close": self._close,
            "call": self._call,
            "echo": self._echo,
            "item_list": self._item_list,
            "item_upload": self._item_upload,
            "item_chat": self._item_chat,
            "crowd": self._crowd,
            "bench": self._bench,
        }

    def run(self, requests: IO[str], answers: IO[str]) -> None:
        """Answer line by line, until the requests end."""
        self._output = answers
        for line in requests:
            if line.strip():
                self._print(self._answer(line))
        self._client.close()

    def _print(self, answer: dict[str, Any]) -> None:
        self._output.write(json_wire.dumps(answer).decode() + "\n")
        self._output.flush()

    def _answer(self, line: str) -> dict[str, Any]:
        try:
            match json_wire.loads(line):
                case {"op": str(op), **rest}:
                    params = rest.get("params", {})
                    if not isinstance(params, dict):
                        raise invalid("params are an object")
                    return {"ok": self._perform(op, params)}
            raise invalid('a line is an object: {"op":"list","params":{}}')
        except CallError as error:
            return {"error": error.as_json()}
        except (TypeError, KeyError, AttributeError) as error:
            return {"error": invalid(f"bad params: {error!r}").as_json()}
        except Exception as error:
            return {"error": as_call_error(error).as_json()}

    def _perform(self, op: str, params: dict[str, Any]) -> dict[str, Any]:
        deadline = params.pop("deadline_ms", 0)
        if op in _UNARY:
            method = METHODS[_UNARY[op]]
            reply = self._client.unary(method, json_wire.read(method.request, params), deadline)
            return json_wire.write(reply)
        if op not in self._ops:
            raise invalid(f"there is no op '{op}'")
        return self._ops[op](deadline, **params)

    def _connect(self, _deadline: int) -> dict[str, Any]:
        self._client.connect()
        return {}

    def _close(self, _deadline: int) -> dict[str, Any]:
        self._client.close()
        return {}

    def _call(self, deadline: int, method: str) -> dict[str, Any]:
        self._client.unknown(method, deadline)
        return {}

    def _crowd(self, _deadline: int, clients: int, calls: int) -> dict[str, Any]:
        return crowd(self._make_client, clients, calls)

    def _bench(self, _deadline: int, **params: Any) -> dict[str, Any]:
        return bench(self._client, **params)

    def _echo(self, deadline: int, size: int, delay_ms: int = 0) -> dict[str, Any]:
        sent = pattern(size)
        if self._client.echo(sent, delay_ms, deadline) != sent:
            raise CallError(Code.INTERNAL, f"other bytes than the {size} sent came back")
        return {"size": size}

    def _item_list(
        self,
        deadline: int,
        first: int = 1,
        count: int = 100,
        take: int | None = None,
        hold: int | None = None,
    ) -> dict[str, Any]:
        method = METHODS["Items.List"]
        request = json_wire.read(method.request, {"first": first, "count": count})
        came = total = 0
        with _stream(self._client, "Items.List", request, deadline) as stream:
            while came != take and (item := stream.receive()) is not None:
                if item.id != first + came:
                    raise CallError(Code.INTERNAL, f"item {first + came} was to come, found {item}")
                came += 1
                total += first + came - 1
                if came == hold:
                    self._print({"hold": hold})
                    signal.pause()
        return {"count": came, "sum": total}

    def _item_upload(self, deadline: int, first: int, count: int) -> dict[str, Any]:
        item = METHODS["Items.Upload"].request
        with _stream(self._client, "Items.Upload", None, deadline) as stream:
            for number in range(first, first + count):
                stream.send(item(id=number, name=f"item {number}"))
            stream.finish()
            reply = stream.receive()
        if reply is None:
            raise CallError(Code.INTERNAL, "the upload ended without a summary")
        return json_wire.write(reply)

    def _item_chat(self, deadline: int, texts: list[str]) -> dict[str, Any]:
        method = METHODS["Items.Chat"]
        answers = []
        with _stream(self._client, "Items.Chat", None, deadline) as stream:
            for number, text in enumerate(texts, 1):
                stream.send(json_wire.read(method.request, {"text": text}))
                answer: Any = stream.receive()
                if answer is None or answer.number != number:
                    raise CallError(Code.INTERNAL, f"answer {number} was to come, found {answer}")
                answers.append(answer.text)
            stream.finish()
            if stream.receive() is not None:
                raise CallError(Code.INTERNAL, f"more than the {len(texts)} answers came")
        return {"texts": answers}


@contextlib.contextmanager
def _stream(client: Client, name: str, request: Message | None, deadline: int) -> Any:
    """Begin a call that is cancelled if the block ends before it does."""
    stream: Stream = client.stream(METHODS[name], request, deadline)
    try:
        yield stream
    finally:
        stream.cancel()


def crowd(make_client: Callable[[], Client], clients: int, calls: int) -> dict[str, Any]:
    """Let many clients at once echo what is each one's own; return how many answers were lost or another's."""
    lock = threading.Lock()
    found: dict[str, Any] = {"calls": 0, "lost": 0, "crossed": 0}
    # All are connected before the first call.
    ready = threading.Barrier(clients)

    def one(number: int) -> None:
        client = make_client()
        problem = None
        with contextlib.suppress(CallError):  # Each call will say it again.
            client.connect()
        ready.wait()
        for call in range(calls):
            sent = struct.pack(">Q", number << 32 | call) * (call % 64 + 1)
            try:
                outcome = "calls" if client.echo(sent) == sent else "crossed"
            except CallError as error:
                outcome, problem = "lost", str(error)
            with lock:
                found[outcome] += 1
        client.close()
        if problem is not None:
            with lock:
                found.setdefault("first_error", problem)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
