"""The interface of ESHM 1.x. Its programs run unchanged, whatever version the peer has."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, TypeVar

from eshm._errors import ClosedError, InvalidError, NoDataError, TooLargeError
from eshm._eshm import Endpoint
from eshm._types import Disconnect, Role, Stats

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

_DATA_SIZE = 4096
_DEFAULT_TIMEOUT_MS = 1000
_TIMEOUT_INFINITE = 0xFFFF_FFFF
# In seconds, as below. Longer than any process lives, but a limit: a wait without one ends when the peer
# closes, and in 1.x it went on until another peer wrote.
_FOR_EVER = 1e9
_MS = 0.001
_HOUR = 3600.0
# The statistics of 1.x. The other fields of Stats are new.
_STATS = Stats._fields[: Stats._fields.index("s2m_read_count") + 1]


class ESHMRole(enum.IntEnum):
    """Which end of a segment; the values of the C interface."""

    MASTER = 0
    SLAVE = 1
    AUTO = 2


class ESHMDisconnectBehavior(enum.IntEnum):
    """What to do when the peer is stale; the values of the C interface."""

    IMMEDIATELY = 0
    ON_TIMEOUT = 1
    NEVER = 2


class ESHMError(enum.IntEnum):
    """The error numbers of the C interface."""

    SUCCESS = 0
    INVALID_PARAM = -1
    SHM_CREATE = -2
    SHM_ATTACH = -3
    SHM_DETACH = -4
    SHM_DELETE = -5
    MUTEX_INIT = -6
    MUTEX_LOCK = -7
    MUTEX_UNLOCK = -8
    NO_DATA = -9
    TIMEOUT = -10
    MASTER_STALE = -11
    BUFFER_FULL = -12
    BUFFER_TOO_SMALL = -13
    NOT_INITIALIZED = -14
    ROLE_MISMATCH = -15


_Member = TypeVar("_Member", ESHMRole, ESHMDisconnectBehavior)


def _member(kind: type[_Member], value: int) -> _Member:
    try:
        return kind(value)
    except ValueError:
        expected = ", ".join(f"{member.name} ({member.value})" for member in kind)
        raise InvalidError(f"{kind.__name__} is {value!r}, expected one of {expected}") from None


def _unsigned(value: int) -> int:
    """Return the low 32 bits, as 1.x passed them to C: −1 as a timeout is ESHM_TIMEOUT_INFINITE."""
    return value & 0xFFFF_FFFF


class ESHM:
    """An endpoint with the names, units and defaults of ESHM 1.x. New programs use `eshm.Endpoint`.

    `write` and `read` use the mailbox: the latest value wins. A `/` in the name becomes `_`. A slave without
    a master fails at once. 0 in `reconnect_wait_ms` and `max_reconnect_attempts` sets no limit. The umask
    decides who may open the segment (0666 without the bits of the umask), and segments of all users are
    accepted.

    >>> with eshm.ESHM("robot", eshm.ESHMRole.MASTER) as robot:
    ...     robot.write(b"pose 1 2 3")
    """

    def __init__(
        self,
        shm_name: str,
        role: ESHMRole = ESHMRole.AUTO,
        disconnect_behavior: ESHMDisconnectBehavior = ESHMDisconnectBehavior.ON_TIMEOUT,
        stale_threshold_ms: int = 100,
        reconnect_wait_ms: int = 5000,
        reconnect_retry_interval_ms: int = 100,
        max_reconnect_attempts: int = 50,
        auto_cleanup: bool = True,
        use_threads: bool = True,
    ) -> None:
        """Open the endpoint; RuntimeError when it cannot start."""
        role = _member(ESHMRole, role)
        behavior = _member(ESHMDisconnectBehavior, disconnect_behavior)
        if not use_threads:
            # Without its threads 1.x does not watch the peer, and so never gives it up.
            behavior = ESHMDisconnectBehavior.NEVER
        retry_interval = _unsigned(reconnect_retry_interval_ms) / 1000
        self._held: bytes | None = None
        self._closed = False
        self._endpoint = Endpoint(
            shm_name.replace("/", "_"),
            role=Role[role.name],
            # A master has the size of 1.x, also where it finds a segment of another size.
            data_size=_DATA_SIZE if role is ESHMRole.MASTER else None,
            connect_timeout=0.0 if role is ESHMRole.SLAVE else 5.0,
            disconnect=Disconnect[behavior.name],
            stale_threshold=min(_unsigned(stale_threshold_ms) / 1000 or _HOUR, _HOUR),
            reconnect_timeout=_unsigned(reconnect_wait_ms) / 1000 or None,
            reconnect_interval=min(max(retry_interval, _MS), _HOUR),
            reconnect_attempts=_unsigned(max_reconnect_attempts) or None,
            auto_cleanup=bool(auto_cleanup),
            background=bool(use_threads),
            mode=None,
            any_owner=True,
            steady_heartbeat=True,
            give_up=True,
        )

    def write(self, data: Buffer) -> None:
        """Put a value into the mailbox, over the one before."""
        self._endpoint.write(data)

    def read(self, buffer_size: int = 4096, timeout_ms: int | None = None) -> bytes:
        """Return the next value: within `timeout_ms`, 1000 when it is None, or raise TimeoutError.

        With 0, do not wait: raise RuntimeError("No data available") when there is none. 0xFFFFFFFF, or −1,
        sets no limit.
        """
        timeout_ms = _DEFAULT_TIMEOUT_MS if timeout_ms is None else _unsigned(timeout_ms)
        data = self.try_read(buffer_size)
        if data is not None:
            return data
        if timeout_ms == 0:
            raise NoDataError("No data available")
        timeout = _FOR_EVER if timeout_ms == _TIMEOUT_INFINITE else timeout_ms / 1000
        return self._fit(self._endpoint.read(timeout).data, buffer_size)

    def try_read(self, buffer_size: int = 4096) -> bytes | None:
        """Return a value that was not read before, or None."""
        message = self._endpoint.try_read()
        data = self._held if message is None else message.data
        return None if data is None else self._fit(data, buffer_size)

    def _fit(self, data: bytes, buffer_size: int) -> bytes:
        """Return a value that fits. Keep one that does not: a read with a larger buffer returns it."""
        if len(data) > buffer_size:
            self._held = data
            raise TooLargeError(
                f"segment '{self._endpoint.name}': Buffer too small: a message of {len(data)} bytes does not "
                f"fit a buffer_size of {buffer_size}; read again with a larger one"
            )
        self._held = None
        return data

    def get_stats(self) -> dict[str, int | bool]:
        """Return the counters of the segment, under the names of ESHMStats."""
        stats = self._endpoint.stats()
        return {
            **{field: getattr(stats, field) for field in _STATS},
            "stale_threshold": round(stats.stale_threshold * 1000),
        }

    def get_role(self) -> ESHMRole:
        """Return the role of this endpoint: MASTER or SLAVE."""
        if self._closed:
            raise ClosedError(f"segment '{self._endpoint.name}': this endpoint is closed; open a new one")
        return ESHMRole[self._endpoint.role.name]

    def is_remote_alive(self) -> bool:
        """Return whether the peer is alive."""
        try:
            self._endpoint.wait_for_peer(0)
        except TimeoutError:
            return False
        return True

    def update_heartbeat(self) -> None:
        """Update the heartbeat, if `use_threads` is False."""
        self._endpoint.update_heartbeat()

    def close(self) -> None:
        """Leave the segment. A second close does nothing."""
        self._closed = True
        self._endpoint.close()

    def __enter__(self) -> Self:
        """Return this endpoint, which the end of the block closes."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the endpoint."""
        self.close()
