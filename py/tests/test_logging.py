"""The core's events arrive in Python's logging, from any thread, and until the end of the process."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from typing import TYPE_CHECKING

import pytest

import eshm
from conftest import PATIENCE, segment_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

warnings.simplefilter("ignore", DeprecationWarning)  # fork with threads, since Python 3.12


class Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def find(self, segment: str, text: str) -> logging.LogRecord | None:
        for record in self.records:
            if getattr(record, "segment", None) == segment and text in record.getMessage():
                return record
        return None

    def wait_for(self, segment: str, text: str) -> logging.LogRecord:
        deadline = time.monotonic() + PATIENCE
        while (record := self.find(segment, text)) is None:
            assert time.monotonic() < deadline, [record.getMessage() for record in self.records]
            time.sleep(0.001)
        return record


@pytest.fixture
def events() -> Iterator[Collector]:
    logger, collector = logging.getLogger("eshm"), Collector()
    level = logger.level
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    yield collector
    logger.removeHandler(collector)
    logger.setLevel(level)


def test_an_endpoints_life_is_logged(name: str, events: Collector) -> None:
    with eshm.Endpoint(name, role="master"):
        pass
    record = events.wait_for(name, "attached")
    assert record.levelno == logging.DEBUG
    assert record.name == "eshm"
    assert "role=master" in record.getMessage()
    assert record.getMessage().startswith(f"segment '{name}': ")
    events.wait_for(name, "closed")


def test_events_of_the_heartbeat_thread_are_logged_while_the_program_waits(
    name: str, events: Collector
) -> None:
    with eshm.Endpoint(name, role="master") as master:
        segment_file(name).unlink()
        with pytest.raises(eshm.TimeoutError):
            # Nothing but the thread that logs runs Python code meanwhile.
            master.recv(timeout=1.0)
        record = events.find(name, "the segment's file was removed")
        assert record is not None
        assert record.levelno == logging.WARNING
        assert record.threadName == "eshm-logging"


def test_a_handler_may_use_the_endpoint(name: str, events: Collector) -> None:
    class Asker(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "segment", None) == name:
                answers.append(master.peer_state)
                master.try_recv()

    answers: list[eshm.PeerState] = []
    with eshm.Endpoint(name, role="master") as master:
        asker = Asker()
        logging.getLogger("eshm").addHandler(asker)
        try:
            with eshm.Endpoint(name, role="slave"):
                master.wait_for_peer(PATIENCE)
                events.wait_for(name, "from=absent to=alive")
        finally:
            logging.getLogger("eshm").removeHandler(asker)
    assert answers


def test_a_filter_that_raises_does_not_end_the_log(
    name: str, events: Collector, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        if "attached" in record.getMessage():
            raise KeyError("refused")
        return True

    logging.getLogger("eshm").addFilter(refuse)
    try:
        with eshm.Endpoint(name, role="master"):
            pass
        events.wait_for(name, "closed")
    finally:
        logging.getLogger("eshm").removeFilter(refuse)
    assert "refused" in capsys.readouterr().err


def test_events_that_the_queue_drops_are_counted_once(name: str, events: Collector) -> None:
    def wait(record: logging.LogRecord) -> bool:
        del record
        at_work.set()
        return proceed.wait(PATIENCE)

    def dropped() -> list[logging.LogRecord]:
        return [record for record in events.records if "events were dropped" in record.getMessage()]

    at_work, proceed, rounds = threading.Event(), threading.Event(), 700
    logger = logging.getLogger("eshm")
    logger.addFilter(wait)
    try:
        with eshm.Endpoint(name, role="master"):
            assert at_work.wait(PATIENCE)
        for _ in range(rounds - 1):
            with eshm.Endpoint(name, role="master"):
                pass
        proceed.set()
        record = events.wait_for("", "events were dropped")
    finally:
        proceed.set()
        logger.removeFilter(wait)
    assert record.levelno == logging.WARNING
    number, text = record.getMessage().split(maxsplit=1)
    assert text == "events were dropped: they arrived faster than they were logged"
    logged = [record for record in events.records if getattr(record, "segment", None) == name]
    # Each endpoint attaches and closes.
    assert int(number) + len(logged) == 2 * rounds
    with eshm.Endpoint(name + "-next", role="master"):
        pass
    events.wait_for(name + "-next", "closed")
    assert dropped() == [record]


def run(script: str, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *args],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_the_last_events_of_a_process_are_logged(name: str) -> None:
    ended = run(
        """
        import atexit, logging, sys
        logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(message)s")
        import eshm
        robot = eshm.Endpoint(sys.argv[1], role="master")
        robot.close()
        """,
        name,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stderr.splitlines()
    assert lines[0].startswith(f"DEBUG segment '{name}': attached")
    assert lines[-1].startswith(f"DEBUG segment '{name}': closed")


@pytest.mark.parametrize("end", ["pass", "robot.close()", "sys.exit(0)", "del robot"])
def test_a_process_ends_whatever_happens_to_its_segment_meanwhile(name: str, end: str) -> None:
    ended = run(
        f"""
        import contextlib, logging, os, sys, threading, time
        logging.basicConfig(level=logging.DEBUG)
        import eshm
        robot = eshm.Endpoint(sys.argv[1], role="master")
        def disturb():
            while True:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink("/dev/shm/eshm_" + sys.argv[1])
        threading.Thread(target=disturb, daemon=True).start()
        time.sleep(0.3)
        {end}
        """,
        name,
    )
    segment_file(name).unlink(missing_ok=True)
    assert ended.returncode == 0, ended.stderr


def test_a_program_without_logging_has_no_thread_for_it() -> None:
    ended = run(
        """
        import sys, threading, eshm
        assert "logging" not in sys.modules
        with eshm.Endpoint(f"pytest-{__import__('os').getpid()}", role="master"):
            print([thread.name for thread in threading.enumerate()])
        """
    )
    assert ended.stdout == "['MainThread']\n", ended.stderr


def test_a_program_that_does_not_configure_logging_prints_nothing(name: str) -> None:
    ended = run(
        """
        import logging, os, sys, time, eshm
        with eshm.Endpoint(sys.argv[1], role="master"):
            os.unlink(f"/dev/shm/eshm_{sys.argv[1]}")
            time.sleep(0.5)
        """,
        name,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_a_forked_child_logs_the_events_of_its_own_endpoints(name: str, events: Collector) -> None:
    def child_logs() -> bool:
        with eshm.Endpoint(name, role="master"):
            pass
        events.wait_for(name, "closed")
        return events.find(name, "attached") is not None

    # In the parent, events arrive all the time.
    stop = threading.Event()
    noise = threading.Thread(target=_open_and_close, args=(name + "-noise", stop.is_set))
    with eshm.Endpoint(name + "-first", role="master"):
        noise.start()
        try:
            for _ in range(10):
                assert fork(child_logs) == 0
        finally:
            stop.set()
            noise.join()


def test_a_fork_waits_for_a_handler_that_is_at_work(name: str, events: Collector) -> None:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "segment", None) == name:
                with lock:
                    at_work.set()
                    time.sleep(0.2)

    lock, at_work, slow = threading.Lock(), threading.Event(), Slow()
    logging.getLogger("eshm").addHandler(slow)
    try:
        with eshm.Endpoint(name, role="master"):
            assert at_work.wait(PATIENCE)
            # The child has no thread that would release the lock.
            assert fork(lambda: lock.acquire(timeout=1)) == 0
            events.wait_for(name, "attached")
    finally:
        logging.getLogger("eshm").removeHandler(slow)


def test_a_fork_does_not_wait_for_ever_for_a_handler(name: str, events: Collector) -> None:
    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if getattr(record, "segment", None) == name:
                at_work.set()
                with lock:
                    pass

    lock, at_work, waiting = threading.Lock(), threading.Event(), Waiting()
    logging.getLogger("eshm").addHandler(waiting)
    try:
        with lock, eshm.Endpoint(name, role="master"):
            assert at_work.wait(PATIENCE)
            assert fork(lambda: True) == 0
        events.wait_for(name, "closed")
    finally:
        logging.getLogger("eshm").removeHandler(waiting)


def test_a_child_of_a_fork_during_a_handlers_work_logs_and_ends(name: str) -> None:
    ended = run(
        """
        import logging, os, sys, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.basicConfig(level=logging.DEBUG, filename=os.devnull)
        import eshm
        lock, at_work = threading.Lock(), threading.Event()
        parent = os.getpid()
        class Waiting(logging.Handler):
            def emit(self, record):
                if os.getpid() == parent:
                    at_work.set()
                    with lock:
                        pass
                else:
                    print("child:", record.getMessage(), flush=True)
        logging.getLogger("eshm").addHandler(Waiting())
        with lock:
            first = eshm.Endpoint(sys.argv[1], role="master")
            assert at_work.wait(10)
            # The fork stops waiting for the handler, which waits for this thread.
            pid = os.fork()
            if pid == 0:
                thread = threading.Thread(target=lambda: None)
                thread.start()
                thread.join()
                with eshm.Endpoint(sys.argv[1] + "-child", role="master"):
                    pass
                sys.exit(7)
        # A child that hangs must not outlive the test.
        watchdog = threading.Timer(15, os.kill, (pid, 9))
        watchdog.start()
        status = os.waitpid(pid, 0)[1]
        watchdog.cancel()
        first.close()
        print("status:", os.waitstatus_to_exitcode(status))
        """,
        name,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f"child: segment '{name}-child': attached"), ended.stdout
    assert lines[-2].startswith(f"child: segment '{name}-child': closed"), ended.stdout
    assert lines[-1] == "status: 7"


def test_an_exit_does_not_wait_for_ever_for_a_filter(name: str) -> None:
    ended = run(
        """
        import logging, sys, threading
        import eshm
        lock, at_work = threading.Lock(), threading.Event()
        # A filter, not a handler: logging itself waits without limit for a handler at exit.
        def wait(record):
            at_work.set()
            with lock:
                return True
        logging.getLogger("eshm").addFilter(wait)
        logging.getLogger("eshm").setLevel(logging.DEBUG)
        lock.acquire()
        with eshm.Endpoint(sys.argv[1], role="master"):
            assert at_work.wait(10)
        """,
        name,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def fork(succeeds: Callable[[], bool]) -> int:
    """Returns the wait status of a child: 0 if what it does succeeds; that of a signal if it does not end."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            code = 0 if succeeds() else 1
        finally:
            os._exit(code)
    watchdog = threading.Timer(PATIENCE, os.kill, (pid, signal.SIGKILL))
    watchdog.start()
    try:
        return os.waitpid(pid, 0)[1]
    finally:
        watchdog.cancel()


def _open_and_close(name: str, is_over: Callable[[], bool]) -> None:
    while not is_over():
        with eshm.Endpoint(name, role="master"):
            pass
