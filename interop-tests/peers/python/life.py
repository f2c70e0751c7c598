"""The commands of the life test: everything besides plain calls that a process can do with its endpoint."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import eshm
from observe import observe, ready

if TYPE_CHECKING:
    from collections.abc import Callable

#: The settings of `open-with`, by the names that the library has for them.
SETTINGS: dict[str, tuple[str, Callable[[str], object]]] = {
    "role": ("role", str),
    "data_size": ("data_size", int),
    "queue_capacity": ("queue_capacity", int),
    "stale_ms": ("stale_threshold", lambda word: int(word) / 1000),
    "reconnect_timeout_ms": ("reconnect_timeout", lambda word: int(word) / 1000),
    "reconnect_ms": ("reconnect_interval", lambda word: int(word) / 1000),
    "connect_ms": ("connect_timeout", lambda word: int(word) / 1000),
}


class Borrows:
    """The message and the loan that the process has borrowed between two commands."""

    def __init__(self) -> None:
        self.held: eshm.Borrowed | None = None
        #: What the held message is looked at through: without it, the next receive would end the hold.
        self.view: memoryview | None = None
        self.loan: eshm.Loan | None = None

    def answer(self, endpoint: eshm.Endpoint, verb: str, rest: list[str]) -> bool:
        """Carry a command of the life test out; False if it is another one."""
        if verb == "send-many":
            send_many(endpoint, rest[0], [data(word) for word in rest[1:]])
        elif verb == "recv-many":
            recv_many(endpoint, int(rest[0]), seconds(rest[1]))
        elif verb == "loan":
            self.lend(endpoint, data(rest[0]), seconds(rest[1]))
        elif verb in ("loan-send", "loan-drop"):
            self.end_loan(verb)
        elif verb == "hold":
            self.hold(endpoint, seconds(rest[0]))
        elif verb == "held":
            self.show()
        elif verb == "release":
            self.let_go()
            observe("ok")
        elif verb == "fork":
            use_in_child(endpoint)
        elif verb == "exit-busy":
            exit_busy(endpoint)
        else:
            return False
        return True

    def lend(self, endpoint: eshm.Endpoint, content: bytes, wait: float) -> None:
        """Borrow room for a message, and fill it."""
        self.loan = endpoint.loan(len(content), wait)
        with memoryview(self.loan) as room:
            room[:] = content
        observe("ok")

    def end_loan(self, verb: str) -> None:
        """Send the loan, or give it back."""
        loan, self.loan = self.loan, None
        if loan is not None and verb == "loan-send":
            loan.send()
        elif loan is not None:
            loan.release()
        observe("ok")

    def hold(self, endpoint: eshm.Endpoint, wait: float) -> None:
        """Receive a message where it lies, and keep it there."""
        try:
            self.held = endpoint.borrow(wait)
        except eshm.TimeoutError:
            observe("nothing")
            return
        self.view = memoryview(self.held)
        self.show()

    def show(self) -> None:
        """Observe the held message: it must not have changed."""
        if self.view is None:
            observe("nothing")
        else:
            observe("message", hex=self.view.hex(), skipped=0, generation=0)

    def let_go(self) -> None:
        """Release the held message, if there is one."""
        held, self.held = self.held, None
        view, self.view = self.view, None
        if held is not None and view is not None:
            view.release()
            held.release()

    def drop(self) -> None:
        """Give everything back, before the endpoint is closed."""
        self.let_go()
        loan, self.loan = self.loan, None
        if loan is not None:
            loan.release()


def open_with(make: Callable[..., eshm.Endpoint], settings: list[str]) -> eshm.Endpoint:
    """Open an endpoint with settings, `key=value` each."""
    name = ""
    options: dict[str, object] = {"reconnect_attempts": None}
    for setting in settings:
        key, _, value = setting.partition("=")
        if key == "name":
            name = data(value).decode()
        elif key in SETTINGS:
            option, convert = SETTINGS[key]
            options[option] = convert(value)
        else:
            raise ValueError(f"{key!r} is no setting")
    observe("opening")
    endpoint = make(name, **options)
    ready()
    return endpoint


def send_many(endpoint: eshm.Endpoint, wait: str, messages: list[bytes]) -> None:
    """Send messages at once; `-` waits without limit."""
    try:
        endpoint.send_many(messages, None if wait == "-" else seconds(wait))
    except eshm.Error as error:
        observe("count", count=error.sent, code=error.code, message=str(error))
    else:
        observe("count", count=len(messages), code=0, message="")


def recv_many(endpoint: eshm.Endpoint, most: int, wait: float) -> None:
    """Receive what is there, at most so many."""
    try:
        received = endpoint.recv_many(most, wait)
    except eshm.TimeoutError:
        received = []
    observe("messages", hex=[message.data.hex() for message in received])


def look(name: str) -> None:
    """Look at the segment as an observer."""
    eshm.Observer(name).look()
    observe("ok")


def use_in_child(endpoint: eshm.Endpoint) -> None:
    """Fork, and observe with which error the child's use of the endpoint failed."""
    child = os.fork()
    if child == 0:
        code = 0
        try:
            endpoint.try_recv()
        except eshm.Error as error:
            code = error.code
        os._exit(-code)
    _, status = os.waitpid(child, 0)
    observe("forked", code=-os.waitstatus_to_exitcode(status))


def exit_busy(endpoint: eshm.Endpoint) -> None:
    """Leave the process while one of its threads waits for a message."""
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        endpoint.recv()

    threading.excepthook = lambda _args: None
    threading.Thread(target=wait, daemon=True).start()
    begun.wait()
    # Usually long enough for the call to park. Otherwise the exit only comes earlier.
    time.sleep(0.003)
    observe("ok")
    sys.exit(0)


def data(word: str) -> bytes:
    """Hexadecimal. `-` stands for no bytes."""
    return b"" if word == "-" else bytes.fromhex(word)


def seconds(word: str) -> float:
    """Milliseconds, as seconds."""
    return int(word) / 1000
