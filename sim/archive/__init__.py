"""Archives: npz files of event rows, and of order latencies; reading, writing, checking, finding them."""

from sim.archive.check import LastTimes, check_events
from sim.archive.files import find_files, parse_dates
from sim.archive.npz import read_events, read_latencies
from sim.archive.write import write_blocks, write_events

__all__ = [
    "LastTimes",
    "check_events",
    "find_files",
    "parse_dates",
    "read_events",
    "read_latencies",
    "write_blocks",
    "write_events",
]
