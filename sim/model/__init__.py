"""Models that the engine calls: latency, queue position, and those that users write."""
