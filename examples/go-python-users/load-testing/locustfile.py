"""Users of the Go API, for Locust.

    locust -f locustfile.py --host http://127.0.0.1:8080

Environment: WAY (api, shm or eshm), COUNT and RECORDS (what is asked for), CLOSED_LOOP=1 (no think time), SAMPLES (file
that gets each response time in milliseconds, as JSON, since Locust's own figures are rounded to whole ones; and for how
many seconds Locust itself was busy).
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from geventhttpclient.client import HTTPClientPool
from locust import FastHttpUser, between, constant, events, task

if TYPE_CHECKING:
    from locust.env import Environment

WAY = os.environ.get("WAY", "eshm")
COUNT = os.environ.get("COUNT", "100")
RECORDS = os.environ.get("RECORDS", "10")

samples: dict[str, Any] = {"ms": [], "bytes": 0, "failures": [], "seconds": 0.0, "busy": 0.0}
since = 0.0
busy_since = 0.0


@events.spawning_complete.add_listener
def begin(user_count: int, **_: object) -> None:  # noqa: ARG001 - Locust gives it by name
    """Count from here on: what was before is the warm-up."""
    global since, busy_since
    samples.update(ms=[], failures=[])
    since, busy_since = time.perf_counter(), time.process_time()


@events.request.add_listener
def note(response_time: float, response_length: int, exception: Exception | None, **_: object) -> None:
    """Keep what a request took, or why it failed."""
    if exception is None:
        samples["ms"].append(response_time)
        samples["bytes"] = response_length
    else:
        samples["failures"].append(str(exception)[:200])


@events.quitting.add_listener
def write(**_: object) -> None:
    """Write the samples."""
    if "SAMPLES" in os.environ:
        samples["seconds"] = time.perf_counter() - since
        samples["busy"] = time.process_time() - busy_since
        Path(os.environ["SAMPLES"]).write_text(json.dumps(samples))


class Client(FastHttpUser):
    """One who looks at the users again and again."""

    wait_time = constant(0) if os.environ.get("CLOSED_LOOP") == "1" else between(1, 3)

    def __init__(self, environment: Environment) -> None:
        # By 4 KiB at a time, as is the default, Locust would be what takes the time of large answers.
        self.client_pool = HTTPClientPool(block_size=1 << 18, network_timeout=60.0, connection_timeout=60.0)
        super().__init__(environment)

    @task
    def users(self) -> None:
        """Ask, and make sure that the answer is ours, and whole."""
        request_id = uuid4().hex
        path = f"/api/users-via-{WAY}"
        query = f"?request_id={request_id}&count={COUNT}&records={RECORDS}"
        with self.client.get(path + query, name=path, catch_response=True) as response:
            content = response.content or b""
            if response.status_code != 200:  # noqa: PLR2004
                response.failure(f"status {response.status_code}: {content[:100]!r}")
            elif not content.startswith(b'{"request_id":"' + request_id.encode() + b'"'):
                response.failure(f"another request's answer: {content[:100]!r}")
            elif not content.endswith(b"]}\n"):
                response.failure(f"cut off after {len(content)} bytes")
