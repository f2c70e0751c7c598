"""The four transports, from the server's side."""
