"""One service of users and items behind TCP sockets, REST, gRPC and ESHM; the contract is `services/README.md`."""
