"""Runs the service: `python -m users_service --help`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import uvicorn

from users_service import app, logs
from users_service.users import users_json


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(prog="users_service", formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=5000, help="port to listen on")
    parser.add_argument("--segment", default="go-python-users", help="ESHM segment to answer on; the Go API makes it")
    parser.add_argument("--shm-dir", type=Path, default=Path("/dev/shm"), help="folder of files in shared memory")  # noqa: S108
    parser.add_argument("--shm-limit", type=int, default=16 << 20, help="longest file there, in bytes")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    args = parser.parse_args()
    logs.set_up(args.log_level)
    users_json(100, 10)  # the first request need not make them
    logging.getLogger("users").info("starting", extra={"port": args.port, "segment": args.segment})
    uvicorn.run(
        app.make(args.segment, args.shm_dir, args.shm_limit),
        host=args.host,
        port=args.port,
        log_config=None,
        access_log=args.log_level == "debug",
        timeout_graceful_shutdown=5,
    )


main()
