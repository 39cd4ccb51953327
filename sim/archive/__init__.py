"""Archives: npz files of event rows, and of order latencies; reading, writing, checking, finding them."""

from sim.archive.check import (
    LastTimes,
    OffTick,
    check_events,
    find_coarser_tick,
    find_kinds,
    find_no_level,
    find_off_tick,
)
from sim.archive.files import find_files, parse_dates
from sim.archive.stream import EventReader, read_events, read_latencies
from sim.archive.write import ArchiveWriter, write_blocks, write_events

__all__ = [
    "ArchiveWriter",
    "EventReader",
    "LastTimes",
    "OffTick",
    "check_events",
    "find_coarser_tick",
    "find_files",
    "find_kinds",
    "find_no_level",
    "find_off_tick",
    "parse_dates",
    "read_events",
    "read_latencies",
    "write_blocks",
    "write_events",
]
