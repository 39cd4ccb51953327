"""The connector's machines: they hold sockets, time and state, and know no exchange by name."""
