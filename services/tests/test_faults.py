"""Clients that vanish, servers that are killed and come back."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from conftest import email
from programs import PATIENCE, TRANSPORTS, CallFailedError, Server, Worker, segment_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Pairing


def test_a_client_that_vanishes_in_a_stream_leaves_no_trace(
    pairing: Pairing, one_seat: Callable[[str], Server]
) -> None:
    server = one_seat(pairing.server)
    address = server.addresses[pairing.transport]
    with Worker(pairing.client, pairing.transport, address) as vanishing:
        vanishing.begin("item_list", first=1, count=1_000_000, hold=5)
        assert vanishing.line() == {"hold": 5}
        vanishing.kill()
    # Over ESHM this takes the only seat, with what was meant for its predecessor in the queue.
    with Worker(pairing.client, pairing.transport, address) as worker:
        assert worker.ask("echo", size=1000) == {"size": 1000}
        assert worker.ask("item_list", first=500, count=100) == {"count": 100, "sum": sum(range(500, 600))}
        _wait_until_idle(server)
        assert worker.ask("echo", size=1001) == {"size": 1001}
        worker.close()


def _wait_until_idle(server: Server) -> None:
    """Wait until the server has stopped producing what nobody takes."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        before, began = server.cpu_seconds(), time.monotonic()
        time.sleep(0.25)
        if server.cpu_seconds() - before < 0.2 * (time.monotonic() - began):
            return
    pytest.fail("the server is still busy, for a client that has gone")


def _restart(server: Server, *options: str) -> Server:
    """Start a server again where one was."""
    ((transport, address),) = server.addresses.items()
    if transport != "eshm":
        options = (*options, f"--{transport}-listen", address.removeprefix("http://"))
    return Server(server.language, "--transport", transport, *options, name=server.eshm_name)


def test_a_server_that_is_killed_and_restarted(pairing: Pairing, tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "users.db"), "--eshm-clients", "3")
    with Server(pairing.server, "--transport", pairing.transport, *options) as server:
        address = server.addresses[pairing.transport]
        with Worker(pairing.client, pairing.transport, address) as worker:
            users = [worker.ask("create", name=f"User {number}", email=email()) for number in range(5)]
            worker.begin("echo", size=10, delay_ms=9000)
            server.kill()
            with pytest.raises(CallFailedError) as caught:
                worker.end()
            assert caught.value.code == "UNAVAILABLE"
            with _restart(server, *options):
                assert _first_answer(worker) == {"size": 4321}
                assert worker.ask("list") == {"users": users}
                last = worker.ask("create", name="After", email=email())
                assert worker.ask("list") == {"users": [*users, last]}
                worker.close()


def _first_answer(worker: Worker) -> dict[str, int]:
    """Call until the client has found the server again; until then it may say that there is none, and nothing else."""
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return worker.ask("echo", size=4321)
        except CallFailedError as error:
            if error.code != "UNAVAILABLE" or time.monotonic() > ends:
                raise


def test_an_idle_client_outlives_its_server(pairing: Pairing) -> None:
    """The server is killed and comes back between two calls."""
    with (
        Server(pairing.server, "--transport", pairing.transport, "--eshm-clients", "3") as server,
        Worker(pairing.client, pairing.transport, server.addresses[pairing.transport]) as worker,
    ):
        assert worker.ask("echo", size=7) == {"size": 7}
        server.kill()
        with _restart(server, "--eshm-clients", "3"):
            assert _first_answer(worker) == {"size": 4321}
            worker.close()


def test_a_server_that_is_told_to_stop_leaves_nothing(server_language: str) -> None:
    with Server(server_language) as server, contextlib.ExitStack() as stack:
        assert segment_files(server.eshm_name)
        workers = [stack.enter_context(Worker("python", how, server.addresses[how])) for how in TRANSPORTS]
        for worker in workers:
            worker.ask("echo", size=10)
        workers[0].begin("echo", size=10, delay_ms=9000)
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 8, "calls in progress do not hold it up"
        assert not segment_files(server.eshm_name)
        with pytest.raises(CallFailedError) as caught:
            workers[0].end()
        assert caught.value.code == "UNAVAILABLE"


def test_each_language_reads_the_others_store(server_language: str, client_language: str, tmp_path: Path) -> None:
    """The client's language writes the file; the other one's server goes on with it."""
    store = ("--store", str(tmp_path / "users.db"), "--transport", "socket")
    with Server(client_language, *store) as server, Worker("python", "socket", server.addresses["socket"]) as worker:
        user = worker.ask("create", name="Traveller", email=email())
        server.stop()
    with Server(server_language, *store) as server, Worker("python", "socket", server.addresses["socket"]) as worker:
        assert worker.ask("list") == {"users": [user]}
        assert worker.ask("update", id=user["id"], name="Arrived", email=user["email"])["name"] == "Arrived"
