"""The scheduling of the background thread, in a process per test: there is one such thread per process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import eshm

_PROGRAM = """
import os, eshm
cpu = min(os.sched_getaffinity(0))
eshm.configure_monitor(cpus=[cpu])
tasks = os.listdir("/proc/self/task")
names = {}
while "eshm-monitor" not in names:  # it names itself as soon as it runs
    names = {open(f"/proc/self/task/{task}/comm").read().strip(): int(task) for task in tasks}
monitor = names["eshm-monitor"]
assert os.sched_getaffinity(monitor) == {cpu}
assert os.sched_getscheduler(monitor) == os.SCHED_OTHER
eshm.configure_monitor()
assert os.sched_getaffinity(monitor) >= os.sched_getaffinity(0)
try:
    eshm.configure_monitor("fifo", 50)
    assert os.sched_getscheduler(monitor) == os.SCHED_FIFO
except PermissionError:
    print("no real-time policy is allowed here")
"""


def test_the_background_thread_is_scheduled_as_was_set() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("policy", "priority", "cpus"),
    [
        ("normal", 1, None),
        ("fifo", 0, None),
        ("round_robin", 100, None),
        ("batch", 0, None),
        ("normal", 0, [1024]),
        ("fifo", 256, None),
        ("fifo", -1, None),
        ("fifo", 1 << 64, None),
        ("normal", 0, [-1]),
        ("normal", 0, [0, 1 << 64]),
    ],
)
def test_values_out_of_range_are_refused(policy: str, priority: int, cpus: list[int] | None) -> None:
    with pytest.raises(ValueError, match="expected"):
        eshm.configure_monitor(policy, priority, cpus)  # type: ignore[arg-type]


def test_a_processor_that_does_not_exist_is_refused() -> None:
    if (os.cpu_count() or 1) < 1024:
        with pytest.raises(OSError, match="Invalid argument"):
            eshm.configure_monitor(cpus=[1023])
