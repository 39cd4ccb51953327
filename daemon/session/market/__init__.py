"""Market data of one connection: streams, snapshots, and whether silence means anything."""
