"""The shared-memory channel between daemons and bots; docs/channel.md describes it."""
