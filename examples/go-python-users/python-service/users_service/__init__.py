"""The service behind the Go API: users, over HTTP, over a file in shared memory, and over ESHM."""
