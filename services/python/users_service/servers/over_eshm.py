"""ESHM: a segment per client, and one event loop that waits for all of them."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import eshm
import uvloop

from users_service.errors import log
from users_service.servers.eshm_tasks import ClientTask

if TYPE_CHECKING:
    from users_service.servers.context import Context

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
        endpoints: list[eshm.Endpoint] = []
        try:
            for number in range(clients):
                endpoints.append(self._open(f"{name}.{number}"))
        except eshm.Error as error:
            for endpoint in endpoints:
                endpoint.close()
            raise OSError(str(error)) from error
        self._loop = uvloop.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, args=(endpoints,), name="eshm", daemon=True)
        self._thread.start()

    def _open(self, name: str) -> eshm.Endpoint:
        return eshm.Endpoint(
            name,
            role="master",
            queue_capacity=self._capacity,
            heartbeat_interval=_HEARTBEAT,
            stale_threshold=_STALE,
            disconnect="immediately",
        )

    def _run(self, endpoints: list[eshm.Endpoint]) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(endpoints))

    async def _serve(self, endpoints: list[eshm.Endpoint]) -> None:
        tasks = [asyncio.create_task(self._attend(endpoint)) for endpoint in endpoints]
        await self._stopped.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _attend(self, endpoint: eshm.Endpoint) -> None:
        """Serve the clients of a segment, one after the other."""
        while True:
            async with eshm.AsyncEndpoint(endpoint) as robot:
                try:
                    await self._serve_clients(robot)
                except eshm.Error as error:
                    log.warning("segment '%s' is made anew: %s", endpoint.name, error)
            try:
                endpoint = self._open(endpoint.name)
            except eshm.Error as failure:
                log.error("segment '%s' is given up: %s", endpoint.name, failure)
                return

    async def _serve_clients(self, robot: eshm.AsyncEndpoint) -> None:
        """Serve until a client has ruined the segment, which raises what the endpoint raises."""
        calls = ClientTask(self._context, robot)
        while True:
            try:
                await calls.serve()
            except (eshm.PeerClosedError, eshm.PeerStaleError):
                await robot.wait_for_peer()

    def stop(self) -> None:
        """Leave all segments, and remove them."""
        self._context.stopping.set()
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
