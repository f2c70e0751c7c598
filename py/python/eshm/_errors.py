"""What goes wrong, as exceptions.

Every one is an `eshm.Error` and carries in `code` the number that stands for it in every language. All but
`TimeoutError` are `RuntimeError` too, as ESHM 1.x had it.
"""

from __future__ import annotations

import builtins


class Error(Exception):
    """Any failure of an endpoint; its text names the segment and says what to do."""

    #: The number that every language shares; −1 … −15 are those of ESHM 1.x.
    code: int = 0
    #: How many messages of a send_many or send_records were sent before it.
    sent: int = 0


class InvalidError(Error, ValueError, RuntimeError):
    """A name, a setting, a text or a message that cannot be used."""

    code = -1


class InUseError(InvalidError, BufferError):
    """Memory of a `Loan` or a `Borrowed` that is still looked at, or that is no longer lent."""


class CreateError(Error, RuntimeError):
    """The segment could not be made."""

    code = -2


class AttachError(Error, RuntimeError):
    """The segment exists, but is not usable."""

    code = -3


class NotFoundError(AttachError):
    """There is no segment of that name, within `connect_timeout`."""


class NoDataError(Error, RuntimeError):
    """`ESHM.read` was not to wait, and there was nothing."""

    code = -9


class TimeoutError(Error, builtins.TimeoutError):  # noqa: A001 - it is one, and is used as eshm.TimeoutError
    """The time given did not suffice."""

    code = -10


class ReconnectingError(TimeoutError, RuntimeError):
    """The master gives no sign of life and is being looked for; nothing was written. Try again."""


class PeerStaleError(Error, RuntimeError):
    """The peer gives no sign of life, and the patience with it is used up."""

    code = -11


class FullError(Error, RuntimeError):
    """The peer has not read the message before; this one was not sent. Try again."""

    code = -12


class TooLargeError(Error, ValueError, RuntimeError):
    """A message is longer than the channel, or than the buffer it was to go to."""

    code = -13


class ClosedError(Error, RuntimeError):
    """The endpoint has been closed."""

    code = -14


class SeatTakenError(Error, RuntimeError):
    """The segment already has a live master, or a live slave."""

    code = -15


class PeerClosedError(Error, RuntimeError):
    """The peer left with a clean close, and everything it sent has been received."""

    code = -16
    #: How many messages of this endpoint were not received. Those of a slave that stays open go to the next
    #: master.
    unreceived: int = 0


class CorruptError(Error, RuntimeError):
    """The peer wrote what the protocol forbids."""

    code = -17


class ForkedError(Error, RuntimeError):
    """The endpoint was opened before a fork, by the parent of this process."""

    code = -18


class DisplacedError(Error, RuntimeError):
    """The segment's file was removed, and another segment has its name."""

    code = -19
