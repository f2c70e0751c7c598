"""The core's events, as records of `logging.getLogger("eshm")`.

The core adds its events to a queue, on any thread. A Python thread takes them from the queue and logs them:
the core's own threads must never wait for the interpreter.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import traceback

from eshm._eshm import _start_events, _stop_events, _take_events

#: How long a fork waits for a handler that is at work, in seconds.
_PATIENCE = 1.0
#: How long the exit waits for the last events to be logged, in seconds.
_EXIT_PATIENCE = 5.0

_logger = logging.getLogger("eshm")
# A program that does not configure logging prints nothing.
_logger.addHandler(logging.NullHandler())

_thread: threading.Thread | None = None
#: Held while an event is logged, and during a fork. A forked child has its own.
_logs = threading.RLock()
_fork = threading.local()


def start() -> None:
    """Log the core's events from now on. Does nothing if that is the case already."""
    global _thread  # noqa: PLW0603 - one per process
    if not _start_events():
        return
    _thread = threading.Thread(target=_forward, name="eshm-logging", daemon=True)
    try:
        _thread.start()
    except RuntimeError:  # the system, or an interpreter that is about to end, has no thread for it
        _thread = None
        _stop_events()


def _forward() -> None:
    while (events := _take_events()) is not None:
        for level, segment, text in events:
            with _logs:
                try:
                    if segment:
                        _logger.log(
                            level, "segment '%s': %s", segment, text.strip(), extra={"segment": segment}
                        )
                    else:
                        _logger.log(level, "%s", text, extra={"segment": segment})
                except Exception:  # of a filter of the program's: the next event may pass it
                    traceback.print_exc()


@atexit.register
def _stop() -> None:
    """Log what is left, and end the thread before the interpreter ends."""
    _stop_events()
    if _thread is not None:
        # There is a limit, since the exiting thread may hold a lock that a filter waits for.
        _thread.join(_EXIT_PATIENCE)


def _before_fork() -> None:
    """Wait until no event is being logged. In the child, a handler's locks would stay held for ever."""
    # There is a limit, since the forking thread may hold a lock that the handler waits for.
    _fork.waited = _logs.acquire(timeout=_PATIENCE)


def _after_fork_in_parent() -> None:
    if _fork.waited:
        _logs.release()


def _after_fork_in_child() -> None:
    """Replace the lock. After a wait without success, a thread that does not exist in the child holds it."""
    global _logs  # noqa: PLW0603 - one per process
    _logs = threading.RLock()


os.register_at_fork(
    before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child
)
