"""Answers requests that come over ESHM: one thread, one segment, and no HTTP.

A request is its number and JSON; its answer is the same number, a status as HTTP has it, and the body. Both begin with
a header of 16 bytes. The Go API tells its requests apart by their numbers, so the order of answers means nothing.
"""

from __future__ import annotations

import json
import logging
import struct
import threading

import eshm

from users_service.users import BadRequestError, answer, check

HEADER = struct.Struct("<QII")  # number, status, reserved
OK, BAD_REQUEST, INTERNAL, NO_ROOM, TOO_LARGE = 200, 400, 500, 503, 507

#: How long the thread rests after an error, in seconds.
RETRY_AFTER = 0.1

log = logging.getLogger("users.eshm")


class Responder(threading.Thread):
    """Answers until it is stopped, whatever goes wrong, also when the Go API comes and goes.

    room_timeout: how long an answer waits for room in the segment, in seconds.
    """

    def __init__(self, segment: str, room_timeout: float = 5) -> None:
        super().__init__(name="eshm", daemon=True)
        self.segment = segment
        self.room_timeout = room_timeout
        self._stopping = threading.Event()

    def run(self) -> None:
        """Attach, answer until the Go API leaves, and attach again."""
        while not self._stopping.is_set():
            try:
                self._serve()
            except eshm.Error as error:
                log.warning("the segment is lost", extra={"segment": self.segment, "reason": str(error)})
                self._stopping.wait(RETRY_AFTER)
            except Exception:
                # A thread that ends would leave the service without its fastest side for good.
                log.exception("the segment is left, and attached to again", extra={"segment": self.segment})
                self._stopping.wait(RETRY_AFTER)

    def stop(self) -> None:
        """End within a tenth of a second."""
        self._stopping.set()
        self.join()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                # For ever, but in short waits, so that the thread can be stopped. It parks at once: HTTP needs the
                # processors more than the wait for a request does.
                endpoint = eshm.Endpoint(self.segment, role="slave", connect_timeout=0.1, wait="park")
                break
            except eshm.NotFoundError:
                continue
        else:
            return
        with endpoint:
            log.info("attached", extra={"segment": self.segment, "longest_answer": endpoint.max_message})
            while not self._stopping.is_set():
                try:
                    borrowed = endpoint.borrow(0.1)
                except eshm.TimeoutError:
                    if endpoint.peer_state == eshm.PeerState.CLOSED:
                        return
                    continue
                # Released once it is answered: if this process is killed before, the next one receives it again.
                with borrowed as request:
                    self._answer(endpoint, bytes(request))

    def _answer(self, endpoint: eshm.Endpoint, request: bytes) -> None:
        if len(request) < HEADER.size:
            # Nobody can be told: it has no number.
            log.error("a request without a header", extra={"bytes": len(request)})
            return
        number, _, _ = HEADER.unpack_from(request)
        status, parts = respond(request[HEADER.size :])
        size = HEADER.size + sum(map(len, parts))
        if size > endpoint.max_message:
            status = TOO_LARGE
            parts = (error(f"the answer has {size} bytes, the segment carries {endpoint.max_message}"),)
            size = HEADER.size + len(parts[0])
        try:
            self._send(endpoint, number, status, parts)
        except eshm.TimeoutError as full:
            log.warning("no room for an answer", extra={"number": number, "bytes": size, "reason": str(full)})
            reason = error(f"the answer has {size} bytes, and there was no room for it in time: {full}")
            try:
                # It is short, so there may be room for it.
                endpoint.try_send(HEADER.pack(number, NO_ROOM, 0) + reason)
            except (eshm.FullError, eshm.TimeoutError):
                log.warning("no room to say so either: the request is dropped", extra={"number": number})

    def _send(self, endpoint: eshm.Endpoint, number: int, status: int, parts: tuple[bytes, ...]) -> None:
        # Built in place: each part is copied once, into the segment.
        with endpoint.loan(HEADER.size + sum(map(len, parts)), timeout=self.room_timeout) as loan:
            memory = memoryview(loan)
            HEADER.pack_into(memory, 0, number, status, 0)
            at = HEADER.size
            for part in parts:
                memory[at : at + len(part)] = part
                at += len(part)
            memory.release()
            loan.send()


def respond(request: bytes) -> tuple[int, tuple[bytes, ...]]:
    """Return the status and the parts of the answer to a request."""
    try:
        wanted = json.loads(request)
        count, records = check(wanted["count"], wanted["records"])
        return OK, answer(str(wanted["request_id"]), count, records)
    except (BadRequestError, KeyError, TypeError, json.JSONDecodeError) as reason:
        return BAD_REQUEST, (error(str(reason)),)
    except Exception:
        log.exception("a request failed")
        return INTERNAL, (error("the service failed; its log says why"),)


def error(reason: str) -> bytes:
    """Return an error as each way of asking has it."""
    return json.dumps({"error": reason}).encode() + b"\n"
