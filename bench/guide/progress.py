"""The lines of the guide's benchmarks, with losses counted."""

from __future__ import annotations

from time import perf_counter


class Progress:
    """Counts messages, and says now and then how many there were."""

    def __init__(self, interval: int) -> None:
        if interval < 1:
            raise SystemExit("the interval must be 1 message at least")
        self.interval = interval
        self.messages = 0
        self.started = self.line = perf_counter()

    def count(self) -> None:
        """Count one."""
        self.messages += 1
        if self.messages % self.interval == 0:
            now = perf_counter()
            total = now - self.started
            print(
                f"[{self.messages:6}] Total: {total:6.1f}s, {self.messages / total:.1f} msg/s"
                f" | Interval: {self.interval / (now - self.line):.1f} msg/s",
                flush=True,
            )
            self.line = now

    def elapsed(self) -> float:
        """Tell the seconds since the beginning."""
        return perf_counter() - self.started

    def finish(self, lost: int) -> None:
        """Say the last line."""
        print(f"Average: {self.messages / self.elapsed():.1f} msg/s, lost: {lost}")
