"""Each failure has its exception and its code, and bad input creates no file."""

from __future__ import annotations

import os
import pickle
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

import eshm
from conftest import PATIENCE, segment_file

if TYPE_CHECKING:
    from collections.abc import Iterator


def exceptions(base: type[eshm.Error] = eshm.Error) -> Iterator[type[eshm.Error]]:
    for kind in base.__subclasses__():
        yield kind
        yield from exceptions(kind)


@pytest.mark.parametrize("kind", list(exceptions()), ids=lambda kind: kind.__name__)
def test_every_exception_is_also_a_standard_one(kind: type[eshm.Error]) -> None:
    assert issubclass(kind, RuntimeError) or kind is eshm.TimeoutError
    assert getattr(eshm, kind.__name__) is kind
    error = kind("what happened")
    assert str(error) == "what happened"
    assert -19 <= error.code < 0
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code) == (kind, str(error), error.code)


def test_a_timeout_error_is_pythons_own() -> None:
    assert issubclass(eshm.TimeoutError, TimeoutError)
    assert not issubclass(eshm.TimeoutError, RuntimeError)
    assert issubclass(eshm.InvalidError, ValueError)
    assert issubclass(eshm.TooLargeError, ValueError)


@pytest.mark.parametrize("bad", ["", "a/b", "..", "a..b", "nul\0", "n" * 251])
def test_a_name_that_cannot_be_a_segment_is_refused(bad: str) -> None:
    with pytest.raises(eshm.InvalidError) as raised:
        eshm.Endpoint(bad)
    assert raised.value.code == -1


@pytest.mark.parametrize(
    "setting",
    [
        {"role": "boss"},
        {"disconnect": "sometimes"},
        {"data_size": 0},
        {"data_size": -1},
        {"data_size": (64 << 20) + 1},
        {"queue_capacity": -1},
        {"queue_capacity": (64 << 30) + 1},
        {"connect_timeout": -1},
        {"heartbeat_interval": 0},
        {"heartbeat_interval": 2},
        {"stale_threshold": 0},
        {"stale_threshold": float("nan")},
        {"reconnect_timeout": 0},
        {"reconnect_interval": 0},
        {"reconnect_attempts": 0},
        {"reconnect_attempts": -1},
        {"mode": 0o1000},
        {"mode": 0},
        {"mode": -1},
        {"group": -1},
        {"wait": "sleep"},
    ],
    ids=lambda setting: "-".join(map(str, *setting.items())),
)
def test_a_setting_out_of_range_is_named_and_creates_nothing(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(eshm.InvalidError, match=next(iter(setting))) as raised:
        eshm.Endpoint(name, **{"role": "master", **setting})
    assert raised.value.code == -1
    assert not segment_file(name).exists()


@pytest.mark.parametrize("value", [-1, 2**63, -(2**63) - 1, 10**400], ids=["-1", "2^63", "-2^63-1", "10^400"])
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data_size", "1 to 67108864 bytes"),
        ("queue_capacity", "0 (no queues) to 68719476736 bytes"),
        ("reconnect_attempts", "1 to 4294967295, or None"),
        ("mode", "permission bits"),
        ("group", "0 to 4294967294"),
        ("stale_threshold", "1 ms to 1 h"),
        ("heartbeat_interval", "1 ms to 1 s"),
        ("reconnect_interval", "1 ms to 1 h"),
    ],
)
def test_an_integer_of_any_size_is_refused_with_the_range(
    name: str, setting: str, expected: str, value: int
) -> None:
    with pytest.raises(eshm.InvalidError, match=f"{setting} is .*; expected .*{re.escape(expected)}"):
        eshm.Endpoint(name, **{"role": "master", setting: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [-1, 10**400, 1e300], ids=["negative", "integer", "float"])
def test_seconds_out_of_range_are_refused_with_a_short_text(
    pair: tuple[eshm.Endpoint, eshm.Endpoint], value: float
) -> None:
    settings = ("connect_timeout", "reconnect_timeout", "stale_threshold")
    for setting in settings:
        with pytest.raises(eshm.InvalidError, match=f"{setting} is .* s; expected ") as raised:
            eshm.Endpoint("unopened", **{"role": "master", setting: value})  # type: ignore[arg-type]
        assert len(str(raised.value)) < 200
    with pytest.raises(eshm.InvalidError, match=r"timeout is .* s; expected 0 to 1.8e19 seconds") as raised:
        pair[0].recv(value)
    assert len(str(raised.value)) < 200


def test_arguments_of_calls_are_refused_with_their_range(pair: tuple[eshm.Endpoint, eshm.Endpoint]) -> None:
    master, slave = pair
    with pytest.raises(eshm.InvalidError, match=r"size is 2\^63 or more; expected 0 to max_message bytes"):
        master.loan(2**63)
    with pytest.raises(eshm.InvalidError, match="max is -1; expected 0 to 9223372036854775807"):
        slave.recv_many(-1)


def test_a_slave_without_a_master_fails(name: str) -> None:
    with pytest.raises(eshm.NotFoundError, match="start its master") as raised:
        eshm.Endpoint(name, role="slave", connect_timeout=0.01)
    assert raised.value.code == -3


def test_a_foreign_file_is_left_alone(name: str) -> None:
    segment_file(name).write_bytes(b"mine" * 4000)
    with pytest.raises(eshm.AttachError, match="magic") as raised:
        eshm.Endpoint(name, role="slave")
    assert raised.value.code == -3
    assert segment_file(name).read_bytes() == b"mine" * 4000
    segment_file(name).unlink()


@pytest.mark.parametrize("role", ["master", "slave"])
def test_a_taken_seat_is_refused(name: str, role: str) -> None:
    with eshm.Endpoint(name, role="master"), eshm.Endpoint(name, role="slave"):
        with pytest.raises(eshm.SeatTakenError, match=f"live {role}") as raised:
            eshm.Endpoint(name, role=role)  # type: ignore[arg-type]
        assert raised.value.code == -15


def test_calls_of_a_closed_endpoint_raise_closed_error(name: str) -> None:
    robot = eshm.Endpoint(name, role="master")
    robot.close()
    robot.close()
    calls = (robot.try_recv, robot.recv, robot.try_read, robot.stats, lambda: robot.send(b""))
    for call in calls:
        with pytest.raises(eshm.ClosedError) as raised:
            call()
        assert raised.value.code == -14
    assert (robot.name, robot.role, robot.data_size) == (name, "master", 4096)
    assert repr(robot) == f'Endpoint("{name}", role="master")'


def test_a_close_says_how_many_messages_were_not_received(pair: tuple[eshm.Endpoint, eshm.Endpoint]) -> None:
    master, slave = pair
    master.send_many([b"a", b"b", b"c"])
    assert slave.recv() == b"a"
    assert master.unreceived == 2
    # Before the close: a slave that has noticed it sends nothing.
    slave.send_many([b"d"] * 3)
    assert master.close() == 2
    assert slave.recv() == b"b"
    assert (master.close(), master.unreceived) == (2, 2)
    assert slave.recv() == b"c"
    with pytest.raises(eshm.PeerClosedError, match="3 messages were not received") as raised:
        slave.recv()
    assert raised.value.unreceived == 3
    assert slave.close() == 3


def test_a_master_whose_name_leads_to_another_segment_is_displaced(name: str) -> None:
    other = f"{name}-other"
    with eshm.Endpoint(name, role="master") as first:
        # Without a background thread no stand-in takes the name, so the file can be moved.
        with eshm.Endpoint(other, role="master", background=False):
            segment_file(other).rename(segment_file(name))
            with pytest.raises(eshm.DisplacedError, match="another segment has its name") as raised:
                write_until_refused(first)
            assert raised.value.code == -19
            first.close()
            assert segment_file(name).exists(), "the other one's file is left alone"
    segment_file(name).unlink()


def write_until_refused(endpoint: eshm.Endpoint) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        endpoint.write(b"")


def test_enums_are_strings(name: str) -> None:
    with eshm.Endpoint(name, role=eshm.Role.MASTER, disconnect=eshm.Disconnect.NEVER) as robot:
        assert robot.role is eshm.Role.MASTER
        assert f"{robot.role} {robot.role!s}" == "master master"
        assert robot.peer_state is eshm.PeerState.ABSENT
        assert not robot.peer_is_legacy


def test_auto_settles_the_role(name: str) -> None:
    with eshm.Endpoint(name) as first, eshm.Endpoint(name) as second:
        assert (first.role, second.role) == ("master", "slave")


def test_a_program_can_update_the_heartbeat_itself(name: str) -> None:
    with eshm.Endpoint(name, role="master", background=False) as robot:
        before = robot.stats().master_heartbeat
        robot.update_heartbeat()
        assert robot.stats().master_heartbeat == before + 1


def test_the_mode_of_a_segment_is_exact(name: str) -> None:
    with eshm.Endpoint(name, role="master"):
        assert segment_file(name).stat().st_mode & 0o777 == 0o600
    with eshm.Endpoint(name, role="master", mode=0o660, group=os.getgid()):
        stat = segment_file(name).stat()
        assert (stat.st_mode & 0o777, stat.st_gid) == (0o660, os.getgid())
    with eshm.Endpoint(name, role="master", mode=0o666):
        assert segment_file(name).stat().st_mode & 0o777 == 0o666
