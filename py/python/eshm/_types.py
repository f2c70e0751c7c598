"""The words of an endpoint."""

from __future__ import annotations

import enum
from typing import NamedTuple


class _Word(str, enum.Enum):
    """A word that is equal to its string, and prints as it."""

    __str__ = str.__str__


class Role(_Word):
    """Which end of a segment an endpoint is."""

    #: Creates the segment, or takes it over from a dead master.
    MASTER = "master"
    #: Attaches to the segment.
    SLAVE = "slave"
    #: Slave where a live master is, master otherwise. An open endpoint's role is never this.
    AUTO = "auto"


class Disconnect(_Word):
    """What an endpoint does when its peer's heartbeat has stood still for the stale threshold."""

    #: Gives the peer up at once.
    IMMEDIATELY = "immediately"
    #: Waits and looks for it within the reconnect limits, then gives it up.
    ON_TIMEOUT = "on_timeout"
    #: Never gives it up; calls only time out.
    NEVER = "never"


class Wait(_Word):
    """How an endpoint waits for what is not there yet."""

    #: Looks again and again, and never leaves its core.
    SPIN = "spin"
    #: Looks for some ten microseconds, fewer when that has been in vain, then parks until it is woken.
    SPIN_THEN_PARK = "spin_then_park"
    #: Parks at once.
    PARK = "park"


class PeerState(_Word):
    """What is known of the peer."""

    #: It was never here.
    ABSENT = "absent"
    #: Its heartbeat moves.
    ALIVE = "alive"
    #: Its heartbeat stands still, though its process exists.
    FROZEN = "frozen"
    #: Its process is gone, without a close.
    DEAD = "dead"
    #: It left with a clean close.
    CLOSED = "closed"


class Stats(NamedTuple):
    """The segment's counters, and those of one endpoint. Every count is since the segment was created."""

    master_heartbeat: int
    slave_heartbeat: int
    master_pid: int
    slave_pid: int
    master_alive: bool
    slave_alive: bool
    #: In milliseconds.
    stale_threshold: int
    #: Since the call before this one.
    master_heartbeat_delta: int
    slave_heartbeat_delta: int
    m2s_write_count: int
    m2s_read_count: int
    s2m_write_count: int
    s2m_read_count: int
    #: Values that this endpoint's reads found overwritten.
    skipped: int
    #: Calls of this endpoint that ended without what they waited for.
    timeouts: int
    #: How often this endpoint found its peer again.
    reconnects: int
    #: System calls this endpoint made to wake its peer.
    wakeups: int


class SeatView(NamedTuple):
    """What an observer sees of an endpoint."""

    #: Frozen only if the observer has looked before, and long enough ago.
    state: PeerState
    #: In its own PID namespace; 0 if nobody ever sat there.
    pid: int
    heartbeat: int
    #: How often the seat was taken, by endpoints that are not ESHM 1.x.
    generation: int
    #: Whether it is, or was, an ESHM 1.x process.
    is_legacy: bool


class DirectionView(NamedTuple):
    """What an observer sees of one direction."""

    #: Values written.
    written: int
    #: Values read: up to a heartbeat interval old.
    read: int
    #: Messages in the queue that were not released.
    waiting: int
    #: The most messages that the queue can hold; 0 if there is none.
    slots: int


class View(NamedTuple):
    """What an observer sees."""

    master: SeatView
    slave: SeatView
    master_to_slave: DirectionView
    slave_to_master: DirectionView
