"""No argument causes a panic, a hang or a file that stays. Calls work, or raise documented exceptions."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import pytest

import eshm
from conftest import OPTIONS, segment_file

if TYPE_CHECKING:
    from collections.abc import Callable

# The documented exceptions. A panic of the library would be another BaseException.
DOCUMENTED = (eshm.Error, TypeError, ValueError, MemoryError, BufferError)

INTEGERS = [0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, 10**400, -(2**63), -(10**400)]
FRACTIONS = [0.0, -0.0, 1e-9, -1e-9, 1e308, math.inf, -math.inf, math.nan]
STRINGS = ["", "x", "\0", "a" * 100_000, "\ud800", "../x"]
BUFFERS = [b"", b"x", bytearray(8), memoryview(b"abcdefgh")[::2]]
OBJECTS = [None, True, [], [1], (), {}, object()]
EXTREMES: list[Any] = [*INTEGERS, *FRACTIONS, *STRINGS, *BUFFERS, *OBJECTS]

# Valid sizes that would take too much of this machine's memory.
TOO_COSTLY = range(1 << 26, (64 << 30) + 1)


def shown(value: object) -> str:
    return f"{type(value).__name__}-{repr(value)[:20]}"


@pytest.mark.parametrize("setting", OPTIONS)
def test_a_setting_of_any_kind_opens_or_is_refused(name: str, setting: str) -> None:
    opened = 0
    for value in EXTREMES:
        if setting == "queue_capacity" and type(value) is int and value in TOO_COSTLY:
            continue
        settings: dict[str, Any] = {"role": "master", "connect_timeout": 0.0, setting: value}
        with contextlib.suppress(*DOCUMENTED), eshm.Endpoint(name, **settings):
            opened += 1
        assert not segment_file(name).exists(), f"{setting}={shown(value)}"
    assert opened < len(EXTREMES), "nothing was refused"


@pytest.mark.parametrize("value", EXTREMES, ids=shown)
def test_a_name_of_any_kind_opens_or_is_refused(name: str, value: Any) -> None:
    tried = name if value == "x" else value
    with contextlib.suppress(*DOCUMENTED):
        eshm.Observer(tried)
    with contextlib.suppress(*DOCUMENTED), eshm.Endpoint(tried, role="master"):
        assert tried == name


def pause(call: Callable[[], Any]) -> None:
    """Makes the call, and releases what it lent."""
    with contextlib.suppress(*DOCUMENTED):
        result = call()
        if isinstance(result, (eshm.Loan, eshm.Borrowed)):
            result.release()


@pytest.mark.parametrize("value", EXTREMES, ids=shown)
def test_an_argument_of_any_kind_works_or_is_refused(
    pair: tuple[eshm.Endpoint, eshm.Endpoint],
    value: Any,
) -> None:
    master, slave = pair
    giving: list[Callable[[], Any]] = [
        lambda: master.wait_for_peer(value),
        lambda: master.write(value),
        lambda: master.send(value, 0),
        lambda: master.send(b"x", value),
        lambda: master.try_send(value),
        lambda: master.loan(value, 0),
        lambda: master.loan(1, value),
        lambda: master.send_many(value, 0),
        lambda: master.send_many([value], 0),
        lambda: master.send_many([b"x"], value),
        lambda: master.send_records(value, 0),
        lambda: slave.recv_into(value, 0),
        lambda: eshm.encode_text(value),
        lambda: eshm.decode_text(value),
    ]
    taking: list[Callable[[], Any]] = [
        lambda: slave.recv(value),
        lambda: slave.read(value),
        lambda: slave.borrow(value),
        lambda: slave.recv_many(timeout=value),
        lambda: slave.recv_many(value, 0),
    ]
    for call in giving:
        pause(call)
        while slave.try_recv() is not None:
            pass
    for call in taking:
        # A message is there, so that no timeout has to pass.
        master.send(b"x")
        master.write(b"x")
        pause(call)
        while slave.try_recv() is not None:
            pass
    master.send(b"still there")
    assert slave.recv() == b"still there"
