"""The exceptions.

Each is an `eshm.Error`, and its `code` is the number of that error in every language. All but `TimeoutError`
are `RuntimeError` too, as in ESHM 1.x.
"""

from __future__ import annotations

import builtins


class Error(Exception):
    """A failure of an endpoint. Its text names the segment and says what to do."""

    #: The number that every language shares. −1 … −15 are those of ESHM 1.x.
    code: int = 0
    #: How many messages of a send_many or send_records were sent before the failure.
    sent: int = 0


class InvalidError(Error, ValueError, RuntimeError):
    """A name, an option, a text or a message is not valid."""

    code = -1


class InUseError(InvalidError, BufferError):
    """Memory of a `Loan` or a `Borrowed` is still in use, or is no longer lent."""


class CreateError(Error, RuntimeError):
    """The segment could not be created."""

    code = -2


class AttachError(Error, RuntimeError):
    """The segment exists, but cannot be used."""

    code = -3


class NotFoundError(AttachError):
    """There is no segment of that name, within `connect_timeout`."""


class NoDataError(Error, RuntimeError):
    """`ESHM.read` with a timeout of 0 found no value."""

    code = -9


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001 - it is one, and is used as eshm.TimeoutError
    """The call did not finish within its timeout."""

    code = -10


class ReconnectingError(TimeoutError, RuntimeError):
    """The master is stale, and the slave looks for a new one. Nothing was written: try again."""


class PeerStaleError(Error, RuntimeError):
    """The peer's heartbeat stands still, and the reconnect limits are used up."""

    code = -11


class FullError(Error, RuntimeError):
    """The queue has no room. The message was not sent: try again."""

    code = -12


class TooLargeError(Error, ValueError, RuntimeError):
    """A message is longer than the queue or the mailbox takes, or than the buffer that it was read into."""

    code = -13


class ClosedError(Error, RuntimeError):
    """The endpoint has been closed."""

    code = -14


class SeatTakenError(Error, RuntimeError):
    """The segment already has a live master, or a live slave."""

    code = -15


class PeerClosedError(Error, RuntimeError):
    """The peer has closed its endpoint, and everything that it sent has been received."""

    code = -16
    #: How many messages of this endpoint were not received. The next master receives those of a slave that
    #: stays open.
    unreceived: int = 0


class CorruptError(Error, RuntimeError):
    """The segment holds what the protocol forbids."""

    code = -17


class ForkedError(Error, RuntimeError):
    """The endpoint belongs to the parent of this process, which opened it before the fork."""

    code = -18


class DisplacedError(Error, RuntimeError):
    """The segment's file was removed, and another segment has its name."""

    code = -19
