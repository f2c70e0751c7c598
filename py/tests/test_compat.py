"""Programs written for ESHM 1.x run unchanged."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from conftest import PATIENCE, segment_file
from eshm import ESHM, ESHMDisconnectBehavior, ESHMError, ESHMRole

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_read_times_out_or_says_that_there_is_nothing(pair: Pair) -> None:
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


def test_what_cannot_start_is_a_runtime_error(name: str) -> None:
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


def test_zero_sets_no_limit(name: str) -> None:
    never = ESHMDisconnectBehavior.NEVER
    ESHM(name, ESHMRole.MASTER, never, 100, 0, 100, 0, True, True).close()


def test_it_can_be_asked_about_itself(name: str) -> None:
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
