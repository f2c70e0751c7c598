"""Ownership of endpoints, and what stays when a process exits."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, expect_line, segment_file

if TYPE_CHECKING:
    from conftest import Spawn

FORKED = """
import os, sys, threading, warnings, eshm
warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, since Python 3.12
robot = eshm.Endpoint(sys.argv[1], role=sys.argv[2])
waiting = threading.Thread(target=lambda: print(robot.recv().text(), flush=True), daemon=True)
waiting.start()
calls = [robot.try_recv, robot.recv, robot.read, robot.stats, robot.update_heartbeat,
         lambda: robot.send(b""), lambda: robot.try_send(b""), lambda: robot.write(b"")]
child = os.fork()
if child == 0:
    for call in calls:
        try:
            call()
        except eshm.ForkedError as error:
            assert error.code == -18 and "before a fork" in str(error)
        else:
            sys.exit("used in the child")
    robot.close()
    del robot, calls
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
print("READY", flush=True)
waiting.join()
robot.close()
"""


@pytest.mark.parametrize(("role", "peer"), [("master", "slave"), ("slave", "master")])
def test_a_forked_child_is_refused_and_harms_nothing(name: str, spawn: Spawn, role: str, peer: str) -> None:
    master = eshm.Endpoint(name, role="master") if peer == "master" else None
    child = spawn(FORKED, name, role)
    expect_line(child, "READY")
    with master or eshm.Endpoint(name, role="slave") as end:
        assert segment_file(name).exists()
        end.wait_for_peer(PATIENCE)
        end.send(eshm.encode_text("still here"))
        expect_line(child, "still here")
        assert child.wait(PATIENCE) == 0, child.communicate()[1]


FORGETFUL = """
import sys, threading, eshm
robot = eshm.Endpoint(sys.argv[1], role=sys.argv[2])
threading.Thread(target=robot.recv, daemon=True).start()
robot.send(b"hello")
if sys.argv[3] == "raise":
    raise SystemExit(3)
sys.exit(0)
"""


@pytest.mark.parametrize("end", ["exit", "raise"])
def test_an_interpreter_that_exits_leaves_a_live_masters_segment(name: str, spawn: Spawn, end: str) -> None:
    with eshm.Endpoint(name, role="master") as master:
        child = spawn(FORGETFUL, name, "slave", end)
        assert child.wait(PATIENCE) == (3 if end == "raise" else 0)
        assert master.recv(PATIENCE) == b"hello"
        assert segment_file(name).exists()
        with pytest.raises(eshm.PeerClosedError):
            master.recv()
        with eshm.Endpoint(name, role="slave") as slave:
            slave.send(b"next")
            assert master.recv(PATIENCE) == b"next"


def test_a_master_that_exits_without_close_removes_its_segment(name: str, spawn: Spawn) -> None:
    child = spawn(FORGETFUL, name, "master", "exit")
    assert child.wait(PATIENCE) == 0, child.communicate()[1]
    assert not segment_file(name).exists()


RESTARTED = """
import sys, eshm
with eshm.Endpoint(sys.argv[1], role="master") as robot:
    print("READY", flush=True)
    for message in robot:
        robot.send(message)
"""


def test_a_killed_master_is_found_again_as_a_new_generation(name: str, spawn: Spawn) -> None:
    first = spawn(RESTARTED, name)
    expect_line(first, "READY")
    with eshm.Endpoint(name, role="slave", reconnect_timeout=None, reconnect_attempts=None) as slave:
        slave.send(b"one", PATIENCE)
        before = slave.recv(PATIENCE).generation
        first.send_signal(signal.SIGKILL)
        first.wait(PATIENCE)
        second = spawn(RESTARTED, name)
        expect_line(second, "READY")
        slave.send(b"two", PATIENCE)
        reply = slave.recv(PATIENCE)
        assert reply == b"two"
        assert reply.generation > before
    assert second.wait(PATIENCE) == 0


def test_a_dead_peer_is_reported_at_once_if_disconnect_is_immediately(name: str, spawn: Spawn) -> None:
    child = spawn(RESTARTED, name)
    expect_line(child, "READY")
    with eshm.Endpoint(name, role="slave", disconnect="immediately") as slave:
        child.send_signal(signal.SIGKILL)
        child.wait(PATIENCE)
        with pytest.raises(eshm.PeerStaleError) as raised:
            slave.recv()
        assert raised.value.code == -11
        assert slave.peer_state is eshm.PeerState.DEAD
    # The next master takes over the segment of the killed one, and removes it.
    eshm.Endpoint(name, role="master").close()
