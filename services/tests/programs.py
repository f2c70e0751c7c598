"""The programs under test, as processes. A further language is a further line of LANGUAGES."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

SERVICES = Path(__file__).resolve().parent.parent
_RUST = SERVICES / "target" / "debug"


@dataclass(frozen=True)
class Language:
    """How the two programs of a language are started."""

    server: tuple[str, ...]
    client: tuple[str, ...]


LANGUAGES = {
    "rust": Language((str(_RUST / "users-server"),), (str(_RUST / "users"),)),
    "python": Language((sys.executable, "-m", "users_service.server"), (sys.executable, "-m", "users_service.client")),
}
TRANSPORTS = ("socket", "rest", "grpc", "unix", "eshm")

#: A watchdog, in seconds: nothing here takes as long, unless it is broken.
PATIENCE = 60.0

_numbers = itertools.count()


def segment_name() -> str:
    """Return a name for ESHM that nobody else uses."""
    return f"services-{os.getpid()}-{next(_numbers)}"


def segment_files(name: str) -> list[Path]:
    """Return the files of a server's segments."""
    return sorted(Path("/dev/shm").glob(f"eshm_{name}.*"))


class Lines:
    """The lines of a process's output, read by a thread so that a wait for one can end."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(stream,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def next(self) -> str | None:
        """Return the next line; None: the output has ended. Raises queue.Empty after PATIENCE."""
        return self._lines.get(timeout=PATIENCE)


class Server:
    """A server's process, from its READY on."""

    def __init__(self, language: str, *options: str, name: str | None = None) -> None:
        self.language = language
        self.eshm_name = name or segment_name()
        command = (*LANGUAGES[language].server, "--eshm-name", self.eshm_name, *options)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = Lines(self.process.stdout).next()
        if line is None or not line.startswith("READY "):
            self.kill()
            raise AssertionError(f"{' '.join(command)}: expected READY, found {line!r}")
        self.addresses: dict[str, str] = json.loads(line.removeprefix("READY "))

    def stop(self) -> int:
        """End it as a user would; return its status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        """End it without its knowing."""
        self.process.kill()
        self.process.wait()

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.stop()
        for file in (*segment_files(self.eshm_name), *map(Path, filter(None, [self.addresses.get("unix")]))):
            file.unlink(missing_ok=True)


class CallFailedError(Exception):
    """The error that a worker answered."""

    def __init__(self, error: dict[str, str]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.message = error["message"]


class Worker:
    """A client's process that is told what to call."""

    def __init__(self, language: str, transport: str, address: str) -> None:
        command = (*LANGUAGES[language].client, "--transport", transport, "--address", address, "worker")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self._lines = Lines(self.process.stdout)

    def begin(self, op: str, **params: Any) -> None:
        """Begin a call."""
        self.write(json.dumps({"op": op, "params": params}))

    def write(self, line: str) -> None:
        """Write any line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def line(self) -> dict[str, Any]:
        """Return the next line that it prints."""
        line = self._lines.next()
        assert line is not None, f"the worker ended with status {self.process.wait()}"
        value: dict[str, Any] = json.loads(line)
        return value

    def end(self) -> dict[str, Any]:
        """Return the answer to the call that was begun. Raises CallFailedError."""
        answer = self.line()
        if "error" in answer:
            raise CallFailedError(answer["error"])
        ok: dict[str, Any] = answer["ok"]
        return ok

    def ask(self, op: str, **params: Any) -> dict[str, Any]:
        """Make a call; return its answer. Raises CallFailedError."""
        self.begin(op, **params)
        return self.end()

    def kill(self) -> None:
        """End it without its knowing."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End it with its input; it must do so by itself, and well."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        assert status == 0, f"the worker ended with status {status}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()


def run_client(language: str, transport: str, address: str, *arguments: str, stdin: str = "") -> Any:
    """Run a client for one command; return the finished process."""
    command: Sequence[str] = (
        *LANGUAGES[language].client,
        "--transport",
        transport,
        "--address",
        address,
        *arguments,
    )
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=PATIENCE, check=False)
