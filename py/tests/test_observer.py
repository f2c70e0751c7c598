"""An observer sees both endpoints. core/tests/observer.rs shows that it cannot write."""

from __future__ import annotations

import pytest

import eshm
from conftest import segment_file


def test_an_observer_sees_both_endpoints_and_queue_depths(name: str) -> None:
    with eshm.Endpoint(name, role="master", queue_capacity=4096) as master:
        observer = eshm.Observer(name)
        assert (observer.name, observer.data_size, observer.max_message) == (name, 4096, 4096)
        view = observer.look()
        assert (view.master.state, view.slave.state) == ("alive", "absent")
        master.send(b"one")
        master.send(b"x" * 500)
        master.write(b"value")
        view = observer.look()
        assert (view.master_to_slave.waiting, view.master_to_slave.slots) == (2, 64)
        master.stats()  # samples the queue depth, as a heartbeat does
        assert observer.look().master_to_slave.high_water == 2
        assert (view.master_to_slave.written, view.slave_to_master.waiting) == (1, 0)
        assert view.master.generation == 1
        assert not view.master.is_legacy
        assert observer.is_current
    assert observer.look().master.state == eshm.PeerState.CLOSED
    assert not observer.is_current


def test_observing_changes_no_byte(name: str) -> None:
    with eshm.Endpoint(name, role="master", auto_cleanup=False) as master:
        master.send(b"unread")
    before = segment_file(name).read_bytes()
    observer = eshm.Observer(name)
    for _ in range(10):
        assert observer.look().master_to_slave.waiting == 1
    assert segment_file(name).read_bytes() == before
    segment_file(name).unlink()


def test_an_observer_does_not_wait_for_a_segment(name: str) -> None:
    with pytest.raises(eshm.NotFoundError):
        eshm.Observer(name)
    with pytest.raises(eshm.InvalidError):
        eshm.Observer("a/b")
