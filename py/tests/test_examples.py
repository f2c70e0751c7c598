"""The examples print the lines that the guide shows."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, expect_line

if TYPE_CHECKING:
    from conftest import Spawn

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_master_and_slave_talk(name: str, spawn: Spawn) -> None:
    master = spawn(EXAMPLES / "simple_master.py", name, "--count", "2", "--interval", "0")
    slave = spawn(EXAMPLES / "simple_slave.py", name)
    assert master.communicate(timeout=PATIENCE)[0].splitlines() == [
        "=== ESHM Python Master Example ===",
        "Initialized as MASTER",
        "[MASTER] Sent: Hello from Python master #0",
        "[MASTER] Received: ACK from Python slave #0",
        "[MASTER] Sent: Hello from Python master #1",
        "[MASTER] Received: ACK from Python slave #1",
    ]
    assert slave.communicate(timeout=PATIENCE)[0].splitlines() == [
        "=== ESHM Python Slave Example ===",
        "Initialized as SLAVE",
        "[SLAVE] Received (28 bytes): Hello from Python master #0",
        "[SLAVE] Sent: ACK from Python slave #0",
        "[SLAVE] Received (28 bytes): Hello from Python master #1",
        "[SLAVE] Sent: ACK from Python slave #1",
        "[SLAVE] The master has left",
    ]
    assert (master.returncode, slave.returncode) == (0, 0)


def test_a_slave_answers_the_guides_master(name: str, spawn: Spawn) -> None:
    with eshm.Endpoint(name, role="master") as master:
        slave = spawn(EXAMPLES / "simple_slave.py", name, "--count", "1")
        master.send(eshm.encode_text("Hello from master #0"))
        assert master.recv(PATIENCE).text() == "ACK from Python slave #0"
        output = slave.communicate(timeout=PATIENCE)[0]
        assert "[SLAVE] Received (21 bytes): Hello from master #0\n" in output


def test_a_master_goes_on_with_the_next_slave(name: str, spawn: Spawn) -> None:
    # Without a count: with one, it exits if the next slave takes long to start.
    master = spawn(EXAMPLES / "simple_master.py", name, "--interval", "0")
    for _ in range(2):
        slave = spawn(EXAMPLES / "simple_slave.py", name, "--count", "1")
        assert slave.wait(PATIENCE) == 0
    master.send_signal(signal.SIGINT)
    assert master.wait(PATIENCE) == 0


@pytest.mark.parametrize("example", ["master", "slave"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_example_cleanly(
    name: str, spawn: Spawn, example: str, number: signal.Signals
) -> None:
    peer = eshm.Endpoint(name, role="master") if example == "slave" else None
    child = spawn(EXAMPLES / f"simple_{example}.py", name)
    expect_line(child, f"=== ESHM Python {example.title()} Example ===")
    expect_line(child, f"Initialized as {example.upper()}")
    child.send_signal(number)
    output, error = child.communicate(timeout=PATIENCE)
    # The signal can come between the text that the example prints and its newline.
    assert output.endswith("Stopped\n"), output
    assert (error, child.returncode) == ("", 0)
    if peer is not None:
        peer.close()


@pytest.mark.parametrize("example", ["master", "slave"])
def test_help_names_the_options(example: str) -> None:
    command = [sys.executable, str(EXAMPLES / f"simple_{example}.py"), "--help"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(option in output for option in ("name", "eshm1", "--count", "--interval"))


@pytest.mark.parametrize("options", [[], ["--wait-set"]])
def test_one_loop_waits_for_an_endpoint_a_timer_and_a_socket(
    name: str, spawn: Spawn, options: list[str]
) -> None:
    child = spawn(EXAMPLES / "event_loop.py", name, *options)
    output, error = child.communicate(timeout=PATIENCE)
    assert child.returncode == 0, error
    lines = output.splitlines()
    assert [line for line in lines if line.startswith("[endpoint]")] == [
        *(f"[endpoint] position {number}" for number in range(5)),
        "[endpoint] the robot has left",
    ]
    assert "[timer] 5 positions came" in lines
    assert lines[-1] == "[socket] the client knows the last position"
