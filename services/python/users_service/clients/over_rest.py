"""REST, over one HTTP connection."""

from __future__ import annotations

import contextlib
import http.client
import socket
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from users_service import json_wire
from users_service.clients.base import Deadline, deadline_exceeded, unavailable
from users_service.errors import CallError, Code

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from users_service.methods import Method

#: How to make each call: HTTP method, path, and where the message's fields go that are not in the path.
_ROUTES = {
    "Users.List": ("GET", "/api/users", "query"),
    "Users.Get": ("GET", "/api/users/{id}", "query"),
    "Users.Create": ("POST", "/api/users", "body"),
    "Users.Update": ("PUT", "/api/users/{id}", "body"),
    "Users.Delete": ("DELETE", "/api/users/{id}", "query"),
    "Users.Search": ("GET", "/api/users/search", "query"),
    "Items.Get": ("GET", "/items/{id}", "query"),
    "Items.List": ("GET", "/items", "query"),
    "Items.Upload": ("POST", "/items", "lines"),
    "Items.Chat": ("POST", "/items/chat", "lines"),
}


class RestClient:
    """See `Client`; address: http://HOST:PORT."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"'{address}' is no address of REST: expected http://HOST:PORT")
        self._address = address
        self._connection = http.client.HTTPConnection(parts.hostname, parts.port or 80, timeout=10)

    def connect(self) -> None:
        """Connect, unless that has been done."""
        if self._connection.sock is None:
            try:
                self._connection.connect()
            except OSError as error:
                raise unavailable(f"no connection to {self._address}: {error}") from None
            peer: Any = self._connection.sock
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def unary(self, method: Method, request: Message, deadline_ms: int = 0) -> Message:
        """Make a call of one message each way."""
        verb, path, body = _place(method, request)
        return json_wire.read(method.reply, json_wire.loads(self._exchange(verb, path, body, deadline_ms)))

    def echo(self, payload: bytes, delay_ms: int = 0, deadline_ms: int = 0) -> bytes:
        """Make the call Items.Echo."""
        path = f"/echo?delay_ms={delay_ms}" if delay_ms else "/echo"
        return self._exchange("POST", path, payload, deadline_ms)

    def unknown(self, name: str, deadline_ms: int = 0) -> None:
        """Call what is not in the contract."""
        self._exchange("GET", f"/api/{quote(name.rpartition('.')[2], safe='')}", None, deadline_ms)

    def stream(self, method: Method, request: Message | None, deadline_ms: int = 0) -> RestStream:
        """Begin a call that streams."""
        deadline = Deadline(deadline_ms)
        if request is None:
            verb, path, _ = _ROUTES[method.name]
        else:
            verb, path, _ = _place(method, request)
        self.connect()
        try:
            self._connection.putrequest(verb, path, skip_accept_encoding=True)
            for name, value in _headers(deadline_ms).items():
                self._connection.putheader(name, value)
            if request is None:
                self._connection.putheader("Transfer-Encoding", "chunked")
                self._connection.putheader("Content-Type", "application/x-ndjson")
            self._connection.endheaders()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from None
        return RestStream(self, method, deadline)

    def _exchange(self, verb: str, path: str, body: bytes | None, deadline_ms: int) -> bytes:
        """Return the body of the answer. Raises the server's error."""
        deadline = Deadline(deadline_ms)
        self.connect()
        try:
            self._connection.sock.settimeout(deadline.left())
            # A server that refuses a call need not read the rest of it: its answer may be there all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._connection.request(verb, path, body, _headers(deadline_ms))
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(error) from None
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise _error(answer.status, content)
        return content

    def _failed(self, error: Exception) -> CallError:
        self.close()
        if isinstance(error, TimeoutError):
            return deadline_exceeded()
        return unavailable(f"the connection broke: {error!r}")


class RestStream:
    """See `Stream`: lines of JSON in the bodies of request and answer."""

    def __init__(self, client: RestClient, method: Method, deadline: Deadline) -> None:
        self._client, self._method, self._deadline = client, method, deadline
        self._answer: http.client.HTTPResponse | None = None
        self._over = False

    def send(self, message: Message) -> None:
        """Send one message."""
        line = json_wire.dumps(json_wire.write(message)) + b"\n"
        self._send(b"%x\r\n%b\r\n" % (len(line), line))

    def finish(self) -> None:
        """Say that no message follows."""
        self._send(b"0\r\n\r\n")

    def _send(self, data: bytes) -> None:
        self._deadline.left()
        try:
            self._client._connection.send(data)
        except OSError as error:
            # A server that has refused the call need not read the rest of it.
            self.receive()
            raise self._client._failed(error) from None

    def receive(self) -> Message | None:
        """Return the next message; None: the call is over."""
        if self._over:
            return None
        try:
            return self._receive()
        except CallError:
            self._over = True
            raise
        except (OSError, http.client.HTTPException) as error:
            self._over = True
            raise self._client._failed(error) from None

    def _receive(self) -> Message | None:
        connection = self._client._connection
        if self._answer is None:
            connection.sock.settimeout(self._deadline.left())
            self._answer = connection.getresponse()
            if self._answer.status >= http.HTTPStatus.BAD_REQUEST:
                error = _error(self._answer.status, self._answer.read())
                # The server may not have read the whole request.
                self._client.close()
                raise error
            if not self._method.server_streams:
                self._over = True
                return json_wire.read(self._method.reply, json_wire.loads(self._answer.read()))
        if connection.sock is not None:
            connection.sock.settimeout(self._deadline.left())
        line = self._answer.readline()
        if not line:
            self._over = True
            return None
        value = json_wire.loads(line)
        if isinstance(value, dict) and "error" in value:
            self._client.close()
            raise CallError.from_json(value["error"])
        return json_wire.read(self._method.reply, value)

    def cancel(self) -> None:
        """End the call, by ending the connection."""
        if not self._over:
            self._over = True
            self._client.close()


def _headers(deadline_ms: int) -> dict[str, str]:
    return {"X-Deadline-Ms": str(deadline_ms)} if deadline_ms else {}


def _place(method: Method, request: Message) -> tuple[str, str, bytes | None]:
    """Return HTTP method, path with query, and body of a call."""
    verb, path, rest = _ROUTES[method.name]
    fields: dict[str, Any] = json_wire.write(request)
    if "{id}" in path:
        path = path.replace("{id}", quote(str(fields.pop("id")), safe=""))
    if rest == "body":
        return verb, path, json_wire.dumps(fields)
    return verb, f"{path}?{urlencode(fields)}" if fields else path, None


def _error(status: int, content: bytes) -> CallError:
    try:
        value = json_wire.loads(content)
    except CallError:
        value = None
    if isinstance(value, dict) and "error" in value:
        return CallError.from_json(value["error"])
    return CallError(Code.INTERNAL, f"the server answered {status} {content[:200]!r}, which is not in the contract")
