"""The words of an endpoint."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Role(enum.StrEnum):
    """Which end of a segment an endpoint is."""

    #: Creates the segment, or takes it over from a dead master.
    MASTER = "master"
    #: Attaches to the segment.
    SLAVE = "slave"
    #: Slave where a live master is, master otherwise. An open endpoint's role is never this.
    AUTO = "auto"


class Disconnect(enum.StrEnum):
    """What an endpoint does when its peer's heartbeat has stood still for the stale threshold."""

    #: Gives the peer up at once.
    IMMEDIATELY = "immediately"
    #: Waits and looks for it within the reconnect limits, then gives it up.
    ON_TIMEOUT = "on_timeout"
    #: Never gives it up; calls only time out.
    NEVER = "never"


class Wait(enum.StrEnum):
    """How an endpoint waits for what is not there yet."""

    #: Looks again and again, and never leaves its core.
    SPIN = "spin"
    #: Looks for some ten microseconds, fewer when that has been in vain, then parks until it is woken.
    SPIN_THEN_PARK = "spin_then_park"
    #: Parks at once.
    PARK = "park"


class PeerState(enum.StrEnum):
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


class SegmentKind(enum.StrEnum):
    """What a file of a domain is."""

    #: A segment that an endpoint of this version, in whatever language, has made or taken over.
    CURRENT = "current"
    #: A segment of ESHM 1.x.
    LEGACY = "legacy"
    #: Somebody is making it, or was killed while it did.
    UNFINISHED = "unfinished"
    #: No segment that this version knows.
    FOREIGN = "foreign"
    #: This process may not read it.
    UNREADABLE = "unreadable"


class Stats(NamedTuple):
    """The segment's counters, and those of one endpoint.

    *Values* are those of `write` and `read`, *messages* those of `send` and `recv`. Counts of the segment's
    values (`m2s_`: master to slave) are since it was created, those of the endpoint since it was opened.
    """

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
    #: Values written by the master, and read by the slave.
    m2s_write_count: int
    m2s_read_count: int
    #: Values written by the slave, and read by the master.
    s2m_write_count: int
    s2m_read_count: int
    #: Values that this endpoint's reads found overwritten.
    skipped: int
    #: Calls of this endpoint that ended without what they waited for.
    timeouts: int
    #: How often another peer followed the one before: another process, or the same one again after a close.
    reconnects: int
    #: System calls this endpoint made to wake its peer.
    wakeups: int
    #: How often the peer stood still for the stale threshold, and then went on.
    stalls: int
    #: Messages that this endpoint's `send` accepted.
    messages_sent: int
    #: Messages that this endpoint received and released.
    messages_received: int
    #: Bytes of the messages sent.
    bytes_sent: int
    #: Bytes of the messages received and released.
    bytes_received: int
    #: Messages in the queue from master to slave that are not released, now.
    m2s_queue_depth: int
    #: Messages in the queue from slave to master that are not released, now.
    s2m_queue_depth: int
    #: The greatest depth from master to slave, as its sender's process has seen it: it looks at each
    #: heartbeat, and whenever it finds the queue full. 0 if that process is one of ESHM 2.0.
    m2s_queue_high_water: int
    #: As `m2s_queue_high_water`, from slave to master.
    s2m_queue_high_water: int
    #: How often a `send` or `loan` of this endpoint found no room, or no peer, for so long that it slept.
    room_waits: int
    #: How long these calls have waited in all, in seconds.
    room_wait_time: float
    #: Messages that this endpoint has sent and that no receiver has released.
    unreceived: int


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
    #: The most messages that were in the queue at once: see `Stats.m2s_queue_high_water`.
    high_water: int
    #: The most messages that the queue can hold; 0 if there is none.
    slots: int


class View(NamedTuple):
    """What an observer sees."""

    master: SeatView
    slave: SeatView
    master_to_slave: DirectionView
    slave_to_master: DirectionView


class Segment(NamedTuple):
    """A file of a domain, as `segments` finds it."""

    #: The name with which an endpoint opens it.
    name: str
    #: Its file.
    path: str
    kind: SegmentKind
    #: What is wrong with it; empty for a segment that can be opened.
    reason: str
    #: Of the file, in bytes.
    size: int
    #: The number of the user that the file belongs to.
    owner: int
    #: That user's name, if the system knows it.
    owner_name: str | None
    #: The file's permission bits.
    mode: int
    #: When the file was made, in seconds since 1970, as of `time.time`.
    since: float | None
    #: Who sits there, and how full the queues are; None if that cannot be read. ALIVE is whoever holds its
    #: seat, frozen or not; of ESHM 1.x, whose heartbeat moves.
    view: View | None


class Left(NamedTuple):
    """A segment that `remove_dead` has left."""

    segment: Segment
    #: Why.
    reason: str


class Removal(NamedTuple):
    """What `remove_dead` has done."""

    #: What was removed, as it was found; in a dry run, what would be.
    removed: list[Segment]
    left: list[Left]
