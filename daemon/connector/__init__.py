"""Live connectors, venue independent: connections, limits, configuration, and the channel's side."""
