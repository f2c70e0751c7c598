"""Programs written for ESHM 1.x run unchanged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, Waiter, expect_line, segment_file
from eshm import ESHM, ESHMDisconnectBehavior, ESHMError, ESHMRole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Spawn

    Pair = tuple[ESHM, ESHM]

MS = int(PATIENCE * 1000)


@pytest.fixture
def pair(name: str) -> Iterator[Pair]:
    with ESHM(name, ESHMRole.MASTER) as master, ESHM(name, role=ESHMRole.SLAVE) as slave:
        yield master, slave


def test_values_go_both_ways(pair: Pair) -> None:
    master, slave = pair
    master.write(b"Hello\0")
    assert slave.read() == b"Hello\0"
    slave.write(b"")
    assert master.read(timeout_ms=MS) == b""
    assert master.try_read() is None


def test_the_latest_value_wins(pair: Pair) -> None:
    master, slave = pair
    master.write(b"old")
    master.write(b"new")
    assert slave.try_read() == b"new"
    assert slave.try_read() is None


def test_read_waits_a_second_by_default(pair: Pair) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        pair[1].read()
    assert time.monotonic() - started >= 1.0


def test_read_times_out_or_reports_no_data(pair: Pair) -> None:
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        pair[1].read(timeout_ms=50)
    assert time.monotonic() - started >= 0.05
    with pytest.raises(RuntimeError, match=r"^No data available$"):
        pair[1].read(timeout_ms=0)


@pytest.mark.parametrize("gone", ["closed", "never came"])
def test_read_waits_its_whole_time_without_a_peer(name: str, gone: str) -> None:
    with ESHM(name, ESHMRole.MASTER) as master:
        if gone == "closed":
            ESHM(name, ESHMRole.SLAVE).close()
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            master.read(timeout_ms=200)
        assert time.monotonic() - started >= 0.2


def test_a_buffer_that_is_too_small_keeps_the_value(pair: Pair) -> None:
    master, slave = pair
    master.write(b"12345")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Buffer too small"):
            slave.read(4)
    assert slave.read(5) == b"12345"
    assert slave.try_read() is None
    with pytest.raises(RuntimeError):
        master.write(b"x" * 4097)


def test_a_master_has_the_size_of_1x_whatever_was_left_behind(name: str) -> None:
    eshm.Endpoint(name, role="master", data_size=8192, auto_cleanup=False).close()
    with ESHM(name, ESHMRole.MASTER) as master:
        with pytest.raises(RuntimeError):
            master.write(bytes(4097))
        master.write(bytes(4096))


def test_an_endpoint_that_cannot_open_raises_runtime_error(name: str) -> None:
    started = time.monotonic()
    with pytest.raises(RuntimeError):
        ESHM(name, ESHMRole.SLAVE)
    assert time.monotonic() - started < 5, "a slave of 1.x does not wait for its master"
    with pytest.raises(RuntimeError):
        ESHM("")


def test_a_slash_in_the_name_is_an_underscore(name: str) -> None:
    with ESHM(f"{name}/x", ESHMRole.MASTER) as master, ESHM(f"{name}_x", ESHMRole.SLAVE) as slave:
        assert segment_file(f"{name}_x").exists()
        master.write(b"same")
        assert slave.read(timeout_ms=MS) == b"same"


@pytest.mark.parametrize("number", [0, 1, -1, 0xFFFF_FFFF])
def test_the_numbers_of_1x_start_an_endpoint(name: str, number: int) -> None:
    never = ESHMDisconnectBehavior.NEVER
    ESHM(name, ESHMRole.MASTER, never, number, number, number, number, True, True).close()


@pytest.mark.parametrize("wrong", [-1, 3])
def test_unknown_enum_numbers_raise_runtime_error(name: str, wrong: int) -> None:
    with pytest.raises(RuntimeError, match=rf"ESHMRole is {wrong}, expected one of MASTER \(0\), "):
        ESHM(name, wrong)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match=f"ESHMDisconnectBehavior is {wrong}"):
        ESHM(name, ESHMRole.MASTER, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("infinite", [-1, 0xFFFF_FFFF])
def test_a_read_without_limit_outlasts_its_peer(name: str, infinite: int) -> None:
    with ESHM(name, ESHMRole.MASTER) as master:
        with ESHM(name, ESHMRole.SLAVE):
            waiting = Waiter(lambda: master.read(timeout_ms=infinite))
        with ESHM(name, ESHMRole.SLAVE) as successor:
            successor.write(b"back")
            assert waiting.result() == b"back"


def test_the_umask_decides_who_may_open_the_segment(name: str, spawn: Spawn) -> None:
    child = spawn(
        """
        import os, sys, eshm
        for umask in (0o022, 0, 0o077):
            os.umask(umask)
            with eshm.ESHM(sys.argv[1], eshm.ESHMRole.MASTER):
                print(oct(os.stat(f"/dev/shm/eshm_{sys.argv[1]}").st_mode & 0o777), flush=True)
        """,
        name,
    )
    for mode in ("0o644", "0o666", "0o600"):
        expect_line(child, mode)
    # It closes after it has printed its last line.
    assert child.wait(PATIENCE) == 0


def test_the_heartbeat_does_not_slow_down(name: str) -> None:
    with ESHM(name, ESHMRole.MASTER) as master:
        # Other endpoints have slowed down to a quarter by then.
        time.sleep(1.5)
        for _ in range(100):
            master.get_stats()
            time.sleep(0.1)
            if master.get_stats()["master_heartbeat_delta"] > 40:
                return
        pytest.fail("it beats less than 400 times a second")


def test_a_closed_endpoint_raises_closed_error(name: str) -> None:
    master = ESHM(name, ESHMRole.MASTER)
    master.close()
    master.close()
    for call in (
        lambda: master.write(b"x"),
        master.read,
        master.try_read,
        master.get_stats,
        master.get_role,
        master.is_remote_alive,
        master.update_heartbeat,
    ):
        with pytest.raises(RuntimeError, match="closed"):
            call()


def test_a_killed_peer_is_not_alive(name: str, spawn: Spawn) -> None:
    with ESHM(name, ESHMRole.MASTER) as master:
        child = spawn(
            """
            import sys, time, eshm
            slave = eshm.ESHM(sys.argv[1], eshm.ESHMRole.SLAVE)
            print("ready", flush=True)
            time.sleep(600)
            """,
            name,
        )
        expect_line(child, "ready")
        assert master.is_remote_alive()
        assert master.get_stats()["slave_alive"]
        child.kill()
        until = time.monotonic() + PATIENCE
        while master.is_remote_alive():
            assert time.monotonic() < until
            time.sleep(0.001)
        assert not master.get_stats()["slave_alive"]
        assert master.get_stats()["master_alive"]


def test_role_state_and_statistics_are_reported(name: str) -> None:
    with ESHM(name) as master:
        assert master.get_role() is ESHMRole.MASTER
        assert not master.is_remote_alive()
        with ESHM(name) as slave:
            assert slave.get_role() is ESHMRole.SLAVE
            assert slave.is_remote_alive()
            assert list(slave.get_stats()) == [
                "master_heartbeat",
                "slave_heartbeat",
                "master_pid",
                "slave_pid",
                "master_alive",
                "slave_alive",
                "stale_threshold",
                "master_heartbeat_delta",
                "slave_heartbeat_delta",
                "m2s_write_count",
                "m2s_read_count",
                "s2m_write_count",
                "s2m_read_count",
            ]


def test_without_threads_reads_and_writes_work(name: str) -> None:
    with ESHM(name, ESHMRole.MASTER, use_threads=False) as master:
        with ESHM(name, ESHMRole.SLAVE, use_threads=False) as slave:
            master.write(b"by hand")
            master.update_heartbeat()
            assert slave.read(timeout_ms=MS) == b"by hand"


def test_without_threads_a_stale_peer_is_never_given_up(name: str) -> None:
    immediately = ESHMDisconnectBehavior.IMMEDIATELY
    with ESHM(name, ESHMRole.MASTER, use_threads=False) as master:
        with ESHM(name, ESHMRole.SLAVE, immediately, stale_threshold_ms=1, use_threads=False) as slave:
            until = time.monotonic() + PATIENCE
            while slave.is_remote_alive():
                assert time.monotonic() < until
            slave.write(b"up")
            master.write(b"down")
            assert (slave.read(), master.read()) == (b"down", b"up")
            with pytest.raises(TimeoutError):
                slave.read(timeout_ms=10)


def test_the_numbers_are_those_of_the_c_interface() -> None:
    assert {role.name: role.value for role in ESHMRole} == {"MASTER": 0, "SLAVE": 1, "AUTO": 2}
    assert {behavior.name: behavior.value for behavior in ESHMDisconnectBehavior} == {
        "IMMEDIATELY": 0,
        "ON_TIMEOUT": 1,
        "NEVER": 2,
    }
    assert {error.value: error.name for error in ESHMError} == {
        0: "SUCCESS",
        -1: "INVALID_PARAM",
        -2: "SHM_CREATE",
        -3: "SHM_ATTACH",
        -4: "SHM_DETACH",
        -5: "SHM_DELETE",
        -6: "MUTEX_INIT",
        -7: "MUTEX_LOCK",
        -8: "MUTEX_UNLOCK",
        -9: "NO_DATA",
        -10: "TIMEOUT",
        -11: "MASTER_STALE",
        -12: "BUFFER_FULL",
        -13: "BUFFER_TOO_SMALL",
        -14: "NOT_INITIALIZED",
        -15: "ROLE_MISMATCH",
    }
