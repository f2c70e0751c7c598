"""The programs' command lines."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from conftest import email
from programs import LANGUAGES, PATIENCE, TRANSPORTS, run_client, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from programs import Server


def test_a_client_for_people(client_language: str, shared: Callable[[str], Server]) -> None:
    addresses = shared(client_language).addresses

    def run(transport: str, *arguments: str, stdin: str = "") -> list[dict[str, object]]:
        done = run_client(client_language, transport, addresses[transport], *arguments, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    address = email()
    (user,) = run("socket", "create", "Ada", address)
    assert run("rest", "get", str(user["id"])) == [user]
    assert user in run("grpc", "list")
    assert run("eshm", "search", address) == [user]
    (changed,) = run("eshm", "update", str(user["id"]), "Grace", address)
    assert changed == {**user, "name": "Grace"}
    assert run("grpc", "delete", str(user["id"])) == [changed]
    assert run("rest", "item", "5") == [{"id": 5, "name": "item 5"}]
    for transport in TRANSPORTS:
        items = run(transport, "items", "--first", "2", "--count", "2")
        assert items == [{"id": 2, "name": "item 2"}, {"id": 3, "name": "item 3"}]
        assert [line["text"] for line in run(transport, "chat", stdin="a\nb\n")] == ["A", "B"]
        failed = run_client(client_language, transport, addresses[transport], "get", "nobody")
        assert failed.returncode == 1
        assert re.match("NOT_FOUND: .", failed.stderr)
        assert failed.stdout == ""


def test_help_names_every_option(server_language: str) -> None:
    programs = LANGUAGES[server_language]
    text = subprocess.run([*programs.server, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    for option in (
        "--transport", "--socket-listen", "--rest-listen", "--grpc-listen", "--eshm-name", "--eshm-clients",
        "--eshm-capacity", "--store", "--max-message", "--log-calls",
    ):  # fmt: skip
        assert option in text.stdout
    text = subprocess.run([*programs.client, "--help"], capture_output=True, text=True, check=True, timeout=PATIENCE)
    for word in ("--transport", "--address", "--deadline-ms", "list", "create", "search", "items", "worker"):
        assert word in text.stdout


def refused(server_language: str, *options: str) -> str:
    """Start a server that cannot start; return what it says."""
    done = subprocess.run(
        [*LANGUAGES[server_language].server, *options], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "panicked" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("transport", ["socket", "rest", "grpc"])
def test_a_port_that_is_taken(transport: str, server_language: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        said = refused(server_language, "--transport", transport, f"--{transport}-listen", f"127.0.0.1:{port}")
    assert port in said


def test_segments_that_are_taken(server_language: str, shared: Callable[[str], Server]) -> None:
    name = shared(server_language).eshm_name
    assert name in refused(server_language, "--transport", "eshm", "--eshm-name", name)


def test_a_store_that_cannot_be_opened(server_language: str, tmp_path: Path) -> None:
    refused(server_language, "--store", str(tmp_path / "no" / "such" / "users.db"), "--eshm-name", segment_name())
    no_database = tmp_path / "letter.txt"
    no_database.write_text("Dear reader, this is no database. " * 100)
    refused(server_language, "--store", str(no_database), "--eshm-name", segment_name())
    assert no_database.read_text().startswith("Dear reader")


def test_each_call_can_be_logged(server_language: str) -> None:
    command = [*LANGUAGES[server_language].server, "--log-calls", "--eshm-name", segment_name(), "--eshm-clients", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            addresses = json.loads(process.stdout.readline().removeprefix("READY "))
            for transport in TRANSPORTS:
                run_client("python", transport, addresses[transport], "get", "nobody")
        finally:
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE)
    for transport in TRANSPORTS:
        assert re.search(rf"\b{transport}\b.*NOT_FOUND.*\d", log), log
