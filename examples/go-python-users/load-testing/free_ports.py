"""Prints as many free TCP ports as it is told to: `free_ports.py 2`."""

from __future__ import annotations

import socket
import sys

sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*(one.getsockname()[1] for one in sockets))
