"""REST: FastAPI, served by uvicorn on a thread and a loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from users_service.servers.context import split_address
from users_service.servers.rest_app import make_app

if TYPE_CHECKING:
    from users_service.servers.context import Context

#: How long calls may go on once the server is told to stop, in seconds.
_GRACE = 1


class RestServer:
    """Serves REST from its construction on, until `stop`.

    listen: HOST:PORT; port 0 is any free one. Raises OSError when it cannot be had.
    """

    def __init__(self, context: Context, listen: str) -> None:
        host, port = split_address(listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=256)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = self._listener.getsockname()[1]
        self.address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        config = uvicorn.Config(
            make_app(context),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=600,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="rest", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OSError(f"the REST server did not start on {listen}; its log says why")
            time.sleep(0.005)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=self._server.config.get_loop_factory()) as runner:
            runner.run(self._server.serve(sockets=[self._listener]))

    def stop(self) -> None:
        """End all connections."""
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
