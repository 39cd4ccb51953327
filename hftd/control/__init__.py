"""The control plane of a channel: names, sockets, leases, and questions from outside."""
