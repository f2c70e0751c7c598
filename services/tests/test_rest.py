"""REST, as strangers use it: any HTTP client, curl, and schemathesis on the OpenAPI document."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from conftest import MAX_MESSAGE, email
from programs import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from programs import Server

UNKNOWN = "/api/users/00000000-0000-4000-8000-000000000000"
GOOD = b'{"name":"Somebody","email":"somebody@example.org"}'


@pytest.fixture
def url(server_language: str, shared: Callable[[str], Server]) -> str:
    return shared(server_language).addresses["rest"]


class Http:
    """One connection to the server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)
        self.headers: http.client.HTTPMessage

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        self._connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = self._connection.getresponse()
        self.headers = answer.headers
        content = answer.read()
        assert answer.headers.get_content_type() == "application/json", content
        return answer.status, json.loads(content)

    def code(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Return status and code of an answer that must be an error."""
        status, value = self.call(method, path, body, **headers)
        assert value == {"error": {"code": value["error"]["code"], "message": value["error"]["message"]}}
        assert value["error"]["message"]
        return status, value["error"]["code"]

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def http_(url: str) -> Iterator[Http]:
    """A connection; afterwards the server must still serve."""
    connection = Http(url)
    yield connection
    connection.close()
    other = Http(url)
    assert other.call("GET", "/healthz") == (200, {"status": "ok"})
    other.close()


def test_statuses_of_success(http_: Http) -> None:
    address = email()
    status, user = http_.call("POST", "/api/users", json.dumps({"name": "Ada", "email": address}).encode())
    assert status == 201
    path = f"/api/users/{user['id']}"
    assert http_.headers["Location"] == path
    assert http_.call("GET", path) == (200, user)
    assert http_.call("PUT", path, json.dumps({"name": "Eva", "email": address}).encode())[0] == 200
    assert http_.call("GET", f"/api/users/search?q={address}")[1] == {"users": [{**user, "name": "Eva"}]}
    assert http_.call("DELETE", path) == (200, {**user, "name": "Eva"})
    assert http_.call("GET", "/items/3") == (200, {"id": 3, "name": "item 3"})


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_the_content_type_does_not_matter(content_type: str, http_: Http) -> None:
    headers = {"Content_Type": content_type} if content_type else {}
    body = json.dumps({"name": "Ada", "email": email()}).encode()
    assert http_.call("POST", "/api/users", body, **headers)[0] == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/users", None, 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"{", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"[]", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"null", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"\xff\xfe", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"name=Ada", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"{}", 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b'{"name":1,"email":"a@example.org"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b'{"name":null,"email":"a@example.org"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b'{"name":"","email":"a@example.org"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b'{"name":"a","email":"nobody"}', 400, "INVALID_ARGUMENT"),
        ("POST", "/api/users", b"[" * 100_000, 400, "INVALID_ARGUMENT"),
        ("PUT", UNKNOWN, b"{}", 400, "INVALID_ARGUMENT"),
        ("PUT", UNKNOWN, GOOD, 404, "NOT_FOUND"),
        ("GET", UNKNOWN, None, 404, "NOT_FOUND"),
        ("GET", "/api/users/nobody", None, 404, "NOT_FOUND"),
        ("GET", "/api/users/%20", None, 400, "INVALID_ARGUMENT"),
        ("DELETE", UNKNOWN, None, 404, "NOT_FOUND"),
        ("GET", "/api/users/search", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/api/users/search?q=", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/api/users/search?q=%20", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items/0", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items/1000001", None, 404, "NOT_FOUND"),
        ("GET", "/items/x", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items/-1", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items/4294967296", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items?first=0", None, 400, "INVALID_ARGUMENT"),
        ("GET", "/items?count=many", None, 400, "INVALID_ARGUMENT"),
        ("POST", "/items", b'{"id":1,"name":"x"}\nnonsense\n', 400, "INVALID_ARGUMENT"),
        ("POST", "/items", b'{"id":1}\n', 400, "INVALID_ARGUMENT"),
        ("POST", "/items/chat", b"nonsense\n", 400, "INVALID_ARGUMENT"),
        ("POST", "/echo?delay_ms=10001", b"x", 400, "INVALID_ARGUMENT"),
        ("POST", "/echo?delay_ms=soon", b"x", 400, "INVALID_ARGUMENT"),
        ("POST", "/echo", b"x" * (MAX_MESSAGE + 1), 413, "RESOURCE_EXHAUSTED"),
        ("POST", "/api/users", b" " * (MAX_MESSAGE + 1), 413, "RESOURCE_EXHAUSTED"),
        ("GET", "/", None, 404, "UNIMPLEMENTED"),
        ("GET", "/api/nothing", None, 404, "UNIMPLEMENTED"),
        ("PATCH", "/api/users", GOOD, 405, "UNIMPLEMENTED"),
        ("POST", UNKNOWN, GOOD, 405, "UNIMPLEMENTED"),
        ("DELETE", "/items/1", None, 405, "UNIMPLEMENTED"),
        ("GET", "/echo", None, 405, "UNIMPLEMENTED"),
    ],
    ids=lambda value: repr(value)[:50],
)
def test_statuses_of_failure(method: str, path: str, body: bytes | None, status: int, code: str, http_: Http) -> None:
    before = http_.call("GET", "/api/users")
    http_.close()
    assert http_.code(method, path, body) == (status, code)
    http_.close()
    assert http_.call("GET", "/api/users") == before


def test_an_address_that_is_taken(http_: Http) -> None:
    body = json.dumps({"name": "Ada", "email": email()}).encode()
    assert http_.call("POST", "/api/users", body)[0] == 201
    assert http_.code("POST", "/api/users", body) == (409, "ALREADY_EXISTS")


def test_a_deadline(http_: Http) -> None:
    assert http_.code("POST", "/echo?delay_ms=9000", b"x", X_Deadline_Ms="50") == (504, "DEADLINE_EXCEEDED")
    assert http_.code("GET", "/items/1", X_Deadline_Ms="soon") == (400, "INVALID_ARGUMENT")


def connect(url: str) -> socket.socket:
    host, _, port = urlsplit(url).netloc.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)


@pytest.mark.parametrize(
    "data", [b"nonsense\r\n\r\n", b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"]
)
def test_bytes_that_are_not_http(data: bytes, url: str, http_: Http) -> None:
    assert http_.call("GET", "/items/1")[0] == 200
    with connect(url) as peer:
        answer = b""
        with contextlib.suppress(OSError):  # the server may end the connection without a word
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while more := peer.recv(4096):
                answer += more
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer


def test_a_body_that_is_cut_off_is_not_stored(url: str, http_: Http) -> None:
    address = email("cut")
    body = json.dumps({"name": "Cut", "email": address}).encode()
    with connect(url) as peer:
        peer.sendall(b"POST /api/users HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + 1, body))
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(4096):
            pass
    assert http_.call("GET", f"/api/users/search?q={address}") == (200, {"users": []})


def curl(*arguments: str, stdin: bytes = b"") -> bytes:
    command = ["curl", "--silent", "--show-error", "--no-buffer", "--max-time", str(int(PATIENCE)), *arguments]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, timeout=PATIENCE + 5).stdout


def test_curl(url: str, tmp_path: Path) -> None:
    address = email()
    created = json.loads(curl(f"{url}/api/users", "--json", json.dumps({"name": "Curl", "email": address})))
    assert created["email"] == address
    status = ("--output", str(tmp_path / "answer"), "--write-out", "%{http_code}")
    assert curl(f"{url}/api/users/{created['id']}", *status) == b"200"
    assert json.loads((tmp_path / "answer").read_bytes()) == created
    assert curl(f"{url}/api/users", "--json", "{", *status) == b"400"
    assert curl(f"{url}/api/users/nobody", *status) == b"404"
    assert curl(f"{url}/api/users", "--json", json.dumps({"name": "Curl", "email": address}), *status) == b"409"
    assert curl(f"{url}/api/users/{created['id']}", "--request", "DELETE", *status) == b"200"
    payload = bytes(range(256)) * 100
    assert curl(f"{url}/echo", "--data-binary", "@-", stdin=payload) == payload
    lines = curl(f"{url}/items?first=4&count=2").splitlines()
    assert [json.loads(line) for line in lines] == [{"id": 4, "name": "item 4"}, {"id": 5, "name": "item 5"}]
    chat = curl(f"{url}/items/chat", "--data-binary", "@-", stdin=b'{"text":"a"}\n{"text":"b"}\n')
    assert [json.loads(line)["text"] for line in chat.splitlines()] == ["A", "B"]


def test_the_openapi_document_names_every_path(http_: Http) -> None:
    status, document = http_.call("GET", "/openapi.json")
    assert status == 200
    assert document["openapi"].startswith("3.")
    methods = {
        path: set(operations) & {"get", "post", "put", "delete"} for path, operations in document["paths"].items()
    }
    assert (
        methods.items()
        >= {
            "/api/users": {"get", "post"},
            "/api/users/{id}": {"get", "put", "delete"},
            "/api/users/search": {"get"},
            "/items": {"get", "post"},
            "/items/{id}": {"get"},
            "/items/chat": {"post"},
            "/echo": {"post"},
            "/healthz": {"get"},
        }.items()
    )


CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)


def test_schemathesis_finds_nothing(url: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", f"{url}/openapi.json",
            "--checks", ",".join(CHECKS),
            # Bodies and answers that are not JSON are beyond it.
            *(part for path in ("/echo", "/items", "/items/chat") for part in ("--exclude-path", path)),
            "--max-examples", "10", "--seed", "7", "--generation-database", "none", "--suppress-health-check", "all",
            "--request-timeout", "30", "--phases", "examples,coverage,fuzzing",
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=3 * PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
