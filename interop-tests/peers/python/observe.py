"""The output of a peer on stdout: `READY`, and one JSON object per observation."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import eshm


def ready() -> None:
    """Say `READY`: the endpoint is attached."""
    _say("READY")


def observe(observed: str, **fields: object) -> None:
    """Say one observation."""
    _say(json.dumps({"observed": observed, **fields}))


def observe_error(error: eshm.Error) -> None:
    """Say that a call failed."""
    observe("error", code=error.code, message=str(error))


def _say(line: str) -> None:
    """Writes a line with one write, so that a SIGKILL never leaves half of it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
