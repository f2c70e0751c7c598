"""ESHM: a segment per client; one thread watches those without a client, and each client has a thread of its own."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import eshm

from users_service.errors import log
from users_service.servers.eshm_calls import ClientCalls, StoppingError

if TYPE_CHECKING:
    from users_service.servers.context import Context

#: How long a client's first message may lie unseen in another segment than the first that is free, in seconds.
_ROUND = 0.02
#: Signs of life: a server with many segments need not be told of a death within milliseconds, and a loaded machine is
#: no dead peer.
_HEARTBEAT = 0.01
_STALE = 1.0


class EshmServer:
    """Serves the segments NAME.0 … NAME.(clients − 1) from its construction on, until `stop`.

    capacity: of each queue, in bytes. Raises OSError when a segment cannot be had.
    """

    def __init__(self, context: Context, name: str, clients: int, capacity: int) -> None:
        self.address = name
        self._context = context
        self._capacity = capacity
        self._lock = threading.Lock()
        self._returned = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._idle: list[eshm.Endpoint] = []
        try:
            for number in range(clients):
                self._idle.append(self._open(f"{name}.{number}"))
        except eshm.Error as error:
            for endpoint in self._idle:
                endpoint.close()
            raise OSError(str(error)) from error
        self._porter = threading.Thread(target=self._watch, name="eshm porter", daemon=True)
        self._porter.start()

    def _open(self, name: str) -> eshm.Endpoint:
        return eshm.Endpoint(
            name,
            role="master",
            queue_capacity=self._capacity,
            heartbeat_interval=_HEARTBEAT,
            stale_threshold=_STALE,
            disconnect="immediately",
        )

    def _watch(self) -> None:
        """Give each segment in which a client speaks up a thread. Clients take the first free one: it is waited at."""
        while not self._context.stopping.is_set():
            with self._lock:
                idle = sorted(self._idle, key=_number)
            if not idle:
                self._returned.wait(_ROUND)
                self._returned.clear()
                continue
            for endpoint in idle:
                self._look(endpoint, wait=endpoint is idle[0])

    def _look(self, endpoint: eshm.Endpoint, *, wait: bool) -> None:
        try:
            message = endpoint.recv(_ROUND) if wait else endpoint.try_recv()
        except eshm.TimeoutError:
            return
        except eshm.Error as error:
            self._replace(endpoint, error)
            return
        if message is None:
            return
        thread = threading.Thread(target=self._serve, args=(endpoint, message), name="eshm client", daemon=True)
        with self._lock:
            self._idle.remove(endpoint)
            self._threads.add(thread)
        thread.start()

    def _serve(self, endpoint: eshm.Endpoint, first: eshm.Message) -> None:
        ruined = None
        try:
            ClientCalls(self._context, endpoint).serve(first)
        except (eshm.PeerClosedError, eshm.PeerStaleError, StoppingError):
            pass
        except eshm.Error as error:
            ruined = error
        finally:
            with self._lock:
                self._idle.append(endpoint)
                self._threads.discard(threading.current_thread())
            self._returned.set()
        if ruined is not None:
            self._replace(endpoint, ruined)

    def _replace(self, endpoint: eshm.Endpoint, error: eshm.Error) -> None:
        """Make a segment anew that its client has ruined."""
        if self._context.stopping.is_set():
            return
        log.warning("segment '%s' is made anew: %s", endpoint.name, error)
        with self._lock:
            self._idle.remove(endpoint)
            endpoint.close()
            try:
                self._idle.append(self._open(endpoint.name))
            except eshm.Error as failure:
                log.error("segment '%s' is given up: %s", endpoint.name, failure)

    def stop(self) -> None:
        """Leave all segments, and remove them."""
        self._context.stopping.set()
        self._porter.join()
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
        for endpoint in self._idle:
            endpoint.close()


def _number(endpoint: eshm.Endpoint) -> int:
    return int(endpoint.name.rpartition(".")[2])
