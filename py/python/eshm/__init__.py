"""Messages between processes through shared memory.

>>> import eshm
>>> with eshm.Endpoint("robot", role="slave") as robot:
...     for message in robot:
...         robot.send(b"ack")
"""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING

from eshm._arrays import ArrayLoan
from eshm._compat import ESHM, ESHMDisconnectBehavior, ESHMError, ESHMRole
from eshm._errors import (
    AttachError,
    ClosedError,
    CorruptError,
    CreateError,
    DisplacedError,
    Error,
    ForkedError,
    FullError,
    InUseError,
    InvalidError,
    NoDataError,
    NotFoundError,
    PeerClosedError,
    PeerStaleError,
    ReconnectingError,
    SeatTakenError,
    TimeoutError,  # noqa: A004 - used as eshm.TimeoutError
    TooLargeError,
)
from eshm._eshm import (
    Borrowed,
    Domain,
    Endpoint,
    Events,
    Loan,
    Message,
    Observer,
    WaitSet,
    configure_monitor,
    decode_text,
    encode_text,
    find_dead,
    remove_dead,
    segments,
)
from eshm._types import (
    DirectionView,
    Disconnect,
    EndpointOptions,
    Interest,
    Left,
    PeerState,
    Removal,
    Role,
    SeatView,
    Segment,
    SegmentKind,
    Stats,
    View,
    Wait,
)

if TYPE_CHECKING:
    from eshm._aio import AsyncEndpoint

__all__ = [
    "ESHM",
    "ArrayLoan",
    "AsyncEndpoint",
    "AttachError",
    "Borrowed",
    "ClosedError",
    "CorruptError",
    "CreateError",
    "DirectionView",
    "Disconnect",
    "DisplacedError",
    "Domain",
    "ESHMDisconnectBehavior",
    "ESHMError",
    "ESHMRole",
    "Endpoint",
    "EndpointOptions",
    "Error",
    "Events",
    "ForkedError",
    "FullError",
    "InUseError",
    "Interest",
    "InvalidError",
    "Left",
    "Loan",
    "Message",
    "NoDataError",
    "NotFoundError",
    "Observer",
    "PeerClosedError",
    "PeerStaleError",
    "PeerState",
    "ReconnectingError",
    "Removal",
    "Role",
    "SeatTakenError",
    "SeatView",
    "Segment",
    "SegmentKind",
    "Stats",
    "TimeoutError",
    "TooLargeError",
    "View",
    "Wait",
    "WaitSet",
    "configure_monitor",
    "decode_text",
    "encode_text",
    "find_dead",
    "remove_dead",
    "segments",
]

__version__ = importlib.metadata.version("eshm")


def __getattr__(name: str) -> object:
    """Import what needs asyncio when it is first used: asyncio takes longer to import than all the rest."""
    if name == "AsyncEndpoint":
        from eshm._aio import AsyncEndpoint  # noqa: PLC0415 - see above

        globals()[name] = AsyncEndpoint
        return AsyncEndpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
