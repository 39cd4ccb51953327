"""Tools on archives: the book at a time, what is in a file, order latencies."""

from sim.tools.contents import Contents, inspect
from sim.tools.latencies import LatencyReport, feed_latencies
from sim.tools.recorded import recorded_latencies
from sim.tools.snapshot import Snapshot, snapshot

__all__ = [
    "Contents",
    "LatencyReport",
    "Snapshot",
    "feed_latencies",
    "inspect",
    "recorded_latencies",
    "snapshot",
]
