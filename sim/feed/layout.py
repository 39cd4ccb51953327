"""A prepared archive's file.

::

    header │ block 0 │ block 1 │ ... │ table
             record, segments, ticks, quantities, rows

Block n is made from the source's rows from n * BLOCK_ROWS on. It holds what `sim.feed.prepare` makes of them, for
the exchange's side and for the local one, without what depends on a run: no level is far or outside a range of
interest, and times have no offset. All parts begin at multiples of `ALIGN` (blocks) or 64 bytes (what is in them), so
a block can be mapped on its own. The table has all blocks' records once more; a file without it is not complete.
"""

from typing import Any, Final

import numpy as np

from hftd.types import event_dtype
from sim.archive.check import OffTick, find_coarser_tick, find_kinds, find_off_tick

MAGIC: Final = 0x31_50_44_54_46_48  # "HFTDP1"
VERSION: Final = 2
"""Goes up with every change of what stands in the files; those of other versions are pruned."""

BLOCK_ROWS: Final = 1 << 16
ALIGN: Final = 1 << 16
"""No system maps files in larger steps."""
HEADER_BYTES: Final = 1 << 16
PART_ALIGN: Final = 64

KEEP_SOME: Final = 0
"""Of the source's rows only those that a backtest reads themselves: trades, clears and user events."""
KEEP_ALL: Final = 1
"""All rows, for markets known order by order and for replays over channels."""

# How far a file is.
GROWING: Final = 0
COMPLETE: Final = 1

side_dtype = np.dtype(
    [
        ("segments_at", "i8"),  # from the record's start on
        ("segments", "i8"),  # there is one more, to tell the last one's end
        ("ticks_at", "i8"),
        ("qtys_at", "i8"),
        ("count", "i8"),  # of ticks and quantities
        ("first_ts", "i8"),
        ("last_ts", "i8"),
        ("first_row", "i8"),  # number of the first row that the side sees, in the source
        ("first_event", event_dtype),
        ("window_tick", "i8"),  # of the first row with a price; INVALID_MIN if there is none
        ("error", "i8"),  # PREPARE_*: a row is wrong, and there is nothing for this side here
        ("error_row", "i8"),  # its number in the source
        ("error_last_ts", "i8"),  # the time before it
        ("error_event", event_dtype),
    ],
    align=True,
)

block_dtype = np.dtype(
    [
        ("offset", "i8"),  # in the file
        ("size", "i8"),  # with the record
        ("first_row", "i8"),
        ("rows", "i8"),
        ("rows_at", "i8"),  # the rows that are kept
        ("kept", "i8"),
        ("low_tick", "i8"),  # of depth rows; INVALID_MAX if there is none
        ("high_tick", "i8"),
        ("latency_ns", "i8"),  # the shortest feed latency; INVALID_MAX if the local side sees no row
        ("latency_row", "i8"),
        ("latency_event", event_dtype),
        ("sides", side_dtype, (2,)),  # the exchange's, the local one
        ("crc", "i8"),  # of all behind the record
        ("record_crc", "i8"),  # of the record up to here
    ],
    align=True,
)

header_dtype = np.dtype(
    [
        ("magic", "i8"),
        ("version", "i8"),
        ("state", "i8"),
        ("published", "i8"),  # blocks
        ("count", "i8"),  # rows of the source
        ("block_rows", "i8"),
        ("table_at", "i8"),
        ("table_crc", "i8"),
        ("tick_size", "f8"),
        ("lot_size", "f8"),
        ("by_order", "i8"),
        ("keep", "i8"),
        ("source_size", "i8"),
        ("digest", "V32"),
        # What the checks of the source's first rows found.
        ("off_row", "i8"),
        ("off_px", "f8"),
        ("off_count", "i8"),
        ("off_looked_at", "i8"),
        ("coarser_tick", "f8"),
        ("has_levels", "i8"),
        ("has_orders", "i8"),
        ("path", "V2048"),
        ("crc", "i8"),
    ],
    align=True,
)

RECORD_BYTES: Final = -(-block_dtype.itemsize // PART_ALIGN) * PART_ALIGN


def aligned(size: int, step: int) -> int:
    """The next multiple of a step."""
    return -(-size // step) * step


class Facts:
    """What the checks of a source's first rows found, looked at once and kept in the header.

    Args:
        off_tick: Prices off the tick.
        coarser_tick: The step of all prices, if that is coarser than the tick; else 0.
        kinds: Whether there are levels, and whether there are single orders.
    """

    def __init__(self, off_tick: OffTick | None, coarser_tick: float, kinds: tuple[bool, bool]) -> None:
        self.off_tick = off_tick
        self.coarser_tick = coarser_tick
        self.kinds = kinds

    @classmethod
    def of_rows(cls, rows: Any, tick_size: float) -> "Facts":
        """Look at the first rows of a source."""
        off = find_off_tick(rows, tick_size)
        return cls(off, 0.0 if off else find_coarser_tick(rows, tick_size), find_kinds(rows))

    @classmethod
    def of_header(cls, header: Any) -> "Facts":
        """What a file's header tells."""
        off = None
        if header["off_count"]:
            row, px, count, looked_at = (
                header[f"off_{name}"] for name in ("row", "px", "count", "looked_at")
            )
            off = OffTick(int(row), float(px), int(count), int(looked_at))
        kinds = (bool(header["has_levels"]), bool(header["has_orders"]))
        return cls(off, float(header["coarser_tick"]), kinds)

    def fill(self, header: Any) -> None:
        """Put it into a header."""
        if self.off_tick is not None:
            for name, value in zip(("row", "px", "count", "looked_at"), self.off_tick, strict=True):
                header[f"off_{name}"] = value
        header["coarser_tick"] = self.coarser_tick
        header["has_levels"], header["has_orders"] = self.kinds
