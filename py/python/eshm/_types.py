"""Enumerations, options and results of endpoints."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

if TYPE_CHECKING:
    from eshm._eshm import Domain


class Role(enum.StrEnum):
    """The role of an endpoint."""

    #: Creates the segment, or takes it over from a dead master.
    MASTER = "master"
    #: Attaches to the segment.
    SLAVE = "slave"
    #: Slave if there is a live master, master otherwise. An open endpoint is one of these two.
    AUTO = "auto"


class Disconnect(enum.StrEnum):
    """What an endpoint does when its peer's heartbeat has stood still for the stale threshold."""

    #: Calls fail at once. A slave does not look for another master.
    IMMEDIATELY = "immediately"
    #: Calls without a timeout fail when the reconnect limits are used up.
    ON_TIMEOUT = "on_timeout"
    #: Calls without a timeout wait without limit.
    NEVER = "never"


class Wait(enum.StrEnum):
    """How an endpoint waits."""

    #: Polls for about a microsecond, then offers the processor to others, then parks until it is woken. How
    #: long each lasts follows from the waits before.
    ADAPTIVE = "adaptive"
    #: Polls without leaving its core.
    SPIN = "spin"
    #: Polls for some ten microseconds, fewer when that was in vain, then parks until it is woken.
    SPIN_THEN_PARK = "spin_then_park"
    #: Parks at once.
    PARK = "park"


class EndpointOptions(TypedDict, total=False):
    """The options of `Endpoint` and `AsyncEndpoint.open`; `Endpoint` says what they mean."""

    role: Role | Literal["master", "slave", "auto"]
    data_size: int | None
    queue_capacity: int | None
    wait: Wait | Literal["adaptive", "spin", "spin_then_park", "park"]
    connect_timeout: float
    heartbeat_interval: float
    stale_threshold: float
    disconnect: Disconnect | Literal["immediately", "on_timeout", "never"]
    reconnect_timeout: float | None
    reconnect_interval: float
    reconnect_attempts: int | None
    auto_cleanup: bool
    background: bool
    mode: int | None
    group: int | None
    any_owner: bool
    steady_heartbeat: bool
    give_up: bool
    domain: Domain | None


class PeerState(enum.StrEnum):
    """The state of the peer."""

    #: No peer has attached yet.
    ABSENT = "absent"
    #: Its heartbeat moves.
    ALIVE = "alive"
    #: Its heartbeat stands still, but its process exists.
    FROZEN = "frozen"
    #: Its process ended without a close.
    DEAD = "dead"
    #: It closed its endpoint.
    CLOSED = "closed"


class Interest(enum.IntFlag):
    """What an event descriptor becomes readable for. Combine members with `|`."""

    #: A message: `try_recv` may find one.
    READABLE = 1
    #: A new value: `try_read` may find one.
    VALUE = 2
    #: Room: `try_send` was refused for lack of room, and may succeed now.
    WRITABLE = 4
    #: A change of the peer's state since the last `Events.peer_state`.
    PEER = 8


class SegmentKind(enum.StrEnum):
    """The kind of a file in a domain."""

    #: A segment that an endpoint of this version, in any language, has created or taken over.
    CURRENT = "current"
    #: A segment of ESHM 1.x.
    LEGACY = "legacy"
    #: A process is creating it, or was killed while it did so.
    UNFINISHED = "unfinished"
    #: Not a segment that this version knows.
    FOREIGN = "foreign"
    #: This process may not read it.
    UNREADABLE = "unreadable"


class Stats(NamedTuple):
    """The statistics of a segment and of one endpoint.

    *Values* are those of `write` and `read`, *messages* those of `send` and `recv`. The segment's counts of
    values (`m2s_`: master to slave) begin when it is created, the endpoint's when it is opened.
    """

    master_heartbeat: int
    slave_heartbeat: int
    master_pid: int
    slave_pid: int
    master_alive: bool
    slave_alive: bool
    #: The creator's, in seconds.
    stale_threshold: float
    #: Heartbeats since the previous call of `stats`.
    master_heartbeat_delta: int
    slave_heartbeat_delta: int
    #: Values written by the master, and read by the slave.
    m2s_write_count: int
    m2s_read_count: int
    #: Values written by the slave, and read by the master.
    s2m_write_count: int
    s2m_read_count: int
    #: Values that were overwritten before this endpoint read them.
    skipped: int
    #: Calls of this endpoint that timed out.
    timeouts: int
    #: How often another peer attached: another process, or the same one again after a close.
    reconnects: int
    #: System calls this endpoint made to wake its peer.
    wakeups: int
    #: How often the peer's heartbeat stood still for the stale threshold, and then moved again.
    stalls: int
    #: Messages that this endpoint's `send` accepted.
    messages_sent: int
    #: Messages that this endpoint received and released.
    messages_received: int
    #: Bytes of the messages sent.
    bytes_sent: int
    #: Bytes of the messages received and released.
    bytes_received: int
    #: Messages in the queue from master to slave that are not released yet.
    m2s_queue_depth: int
    #: Messages in the queue from slave to master that are not released yet.
    s2m_queue_depth: int
    #: The greatest depth from master to slave that its sender's process has seen. It samples the depth at
    #: each heartbeat, and whenever the queue is full. 0 if that process uses ESHM 2.0.
    m2s_queue_high_water: int
    #: As `m2s_queue_high_water`, from slave to master.
    s2m_queue_high_water: int
    #: How often a `send` or `loan` of this endpoint found no room, or no peer, for so long that its thread
    #: slept.
    room_waits: int
    #: The total time of these waits, in seconds.
    room_wait_time: float
    #: Messages that this endpoint has sent and that no receiver has released.
    unreceived: int


class SeatView(NamedTuple):
    """What an observer sees of an endpoint."""

    #: FROZEN only if an earlier `look` of this observer found the same heartbeat, at least the stale
    #: threshold ago.
    state: PeerState
    #: In its own PID namespace. 0 if there never was such an endpoint.
    pid: int
    heartbeat: int
    #: How often endpoints other than those of ESHM 1.x have attached with this role.
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
    """A file of a domain, as `segments` finds it.

    >>> for segment in eshm.segments():
    ...     if segment.view is not None:
    ...         print(segment.name, segment.view.master.state, segment.view.master_to_slave.waiting)
    """

    #: The name by which an endpoint opens it.
    name: str
    #: Its file.
    path: str
    kind: SegmentKind
    #: What is wrong with it; empty for a segment that can be opened.
    reason: str
    #: Of the file, in bytes.
    size: int
    #: The id of the user that owns the file.
    owner: int
    #: That user's name, if the system knows it.
    owner_name: str | None
    #: The file's permission bits.
    mode: int
    #: When the file was created, in seconds since 1970, as `time.time` returns them.
    since: float | None
    #: Its endpoints, and how full its queues are; None if that cannot be read. ALIVE means that the
    #: endpoint's process exists, frozen or not; for ESHM 1.x, that its heartbeat moves.
    view: View | None


class Left(NamedTuple):
    """A segment that `remove_dead` has not removed."""

    segment: Segment
    #: Why.
    reason: str


class Removal(NamedTuple):
    """The result of `remove_dead` and `find_dead`."""

    #: The segments that were removed, as they were found; of `find_dead`, those that would be.
    removed: list[Segment]
    left: list[Left]
