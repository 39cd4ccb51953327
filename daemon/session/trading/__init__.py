"""One account: commands out, outcomes and events in, and the dead-man switch."""
