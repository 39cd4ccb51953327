"""From a block of rows to a block of a prepared archive."""

# pyright: basic

import ctypes
from typing import Any, NamedTuple

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.jit import kernel
from hftd.compiled.layout import book_dtype
from hftd.compiled.native import load_i64, record_at, store_i64
from hftd.compiled.row_access import copy_row, ev_of, exch_ts_of, local_ts_of
from hftd.rows import BOOK_LOST, ROW_BYTES
from hftd.types import (
    DEPTH_CLEAR_EVENT,
    EXCH_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    KIND_MASK,
    LOCAL_EVENT,
    TRADE_EVENT,
    USER_DEFINED_EVENT,
    event_dtype,
)
from sim.feed import layout, prepare
from sim.feed.columns import kinds_of
from sim.feed.layout import KEEP_ALL, PART_ALIGN, RECORD_BYTES, aligned, block_dtype
from sim.model.layout import (
    NEVER,
    SEG_ASKS,
    SEG_BIDS,
    SEG_BUY_TRADES,
    SEG_CLEAR_BIDS,
    SEG_TRADES,
    segment_dtype,
    stream_dtype,
)

_SEGMENT = segment_dtype.itemsize
_ANY_TICK = 1 << 60
"""Beyond every tick that a price may have."""

work_dtype = np.dtype(
    [
        ("rows", "i8"),
        ("count", "i8"),
        ("keep_all", "i8"),
        ("kept", "i8"),  # the rows that are kept, and how many
        ("num_kept", "i8"),
        ("places", "i8"),  # i8 for each row: how many kept ones stand before it
        ("all_seen", "i8"),  # whether both sides see every row
        ("latency_ns", "i8"),
        ("latency_row", "i8"),
        ("first_rows", "i8", (2,)),
        ("segments", "i8", (2,)),
        ("segments_end", "i8", (2,)),
        ("ticks", "i8", (2,)),
        ("low_tick", "i8"),
        ("high_tick", "i8"),
        ("window_ticks", "i8", (2,)),
    ],
    align=True,
)
_work_at = record_at(work_dtype)
_segment_at = prepare.segment_at


@kernel("int64(int64)")
def note_rows(work):
    """Keep the rows that are needed themselves, and note what the block's record tells of the rows."""
    w = _work_at(work)
    row = w.rows
    kept = w.kept
    all_seen = 1
    first_exch = -1
    first_local = -1
    latency = INVALID_MAX
    latency_row = -1
    num_kept = 0
    for number in range(w.count):
        ev = ev_of(row)
        is_local = (ev & LOCAL_EVENT) != 0
        is_exch = (ev & EXCH_EVENT) != 0
        all_seen &= is_local & is_exch
        if is_exch and first_exch < 0:
            first_exch = number
        if is_local:
            if first_local < 0:
                first_local = number
            took = local_ts_of(row) - exch_ts_of(row)
            if took < latency:
                latency = took
                latency_row = number
        if w.keep_all == 0:
            kind = ev & KIND_MASK
            store_i64(w.places + 8 * number, num_kept)
            is_user = kind >= BOOK_LOST or (kind >= USER_DEFINED_EVENT and is_local)
            if kind in (TRADE_EVENT, DEPTH_CLEAR_EVENT) or is_user:
                copy_row(kept, row)
                kept += ROW_BYTES
                num_kept += 1
        row += ROW_BYTES
    w.num_kept = num_kept if w.keep_all == 0 else w.count
    w.all_seen = all_seen
    w.first_rows[0] = first_exch
    w.first_rows[1] = first_local
    w.latency_ns = latency
    w.latency_row = latency_row
    return 0


@kernel("int64(int64, int64)")
def note_segments(work, side):
    """Let a side's segments tell their rows by their place among those kept, and note its range of ticks."""
    w = _work_at(work)
    segment = w.segments[side]
    end = w.segments_end[side]
    ticks = w.ticks[side]
    low = w.low_tick
    high = w.high_tick
    window_tick = INVALID_MIN
    while segment < end:
        seg = _segment_at(segment)
        kind = seg.first_kind & 15
        number = (seg.row - w.rows) // ROW_BYTES
        if w.keep_all != 0:
            seg.row = number * ROW_BYTES
        elif kind >= SEG_CLEAR_BIDS or (kind >= SEG_BUY_TRADES and kind <= SEG_TRADES):
            seg.row = load_i64(w.places + 8 * number) * ROW_BYTES
        else:
            seg.row = 0
        at = seg.first_kind >> 4
        if window_tick == INVALID_MIN and kind >= SEG_BIDS and kind <= SEG_TRADES:
            window_tick = load_i64(ticks + 8 * at)
        if kind in (SEG_BIDS, SEG_ASKS):
            stop = _segment_at(segment + _SEGMENT).first_kind >> 4
            while at < stop:
                tick = load_i64(ticks + 8 * at)
                low = min(low, tick)
                high = max(high, tick)
                at += 1
        segment += _SEGMENT
    w.low_tick = low
    w.high_tick = high
    w.window_ticks[side] = window_tick
    return 0


class Wanted(NamedTuple):
    """What a prepared archive is made for.

    Attributes:
        tick_size: The asset's.
        lot_size: The asset's.
        by_order: Whether the market is known order by order.
        keep: KEEP_SOME or KEEP_ALL.
    """

    tick_size: float
    lot_size: float
    by_order: bool
    keep: int


class Made(NamedTuple):
    """A block, its parts in memory that the next one takes over.

    Attributes:
        record: `block_dtype`, without its place in a file.
        parts: The bytes behind the record, each with its offset from the record's start.
    """

    record: NDArray[Any]
    parts: list[tuple[int, NDArray[Any]]]


def load_kernels() -> None:
    """Compile what makes blocks, or load it."""
    for one in (note_rows, note_segments, prepare.prepare):
        one.compiled()


class BlockMaker:
    """Makes the blocks of one source, in order.

    Args:
        wanted: What for.
    """

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self._arena = Arena()
        book = self._arena.records(book_dtype, 1)
        book["tick_size"], book["lot_size"] = wanted.tick_size, wanted.lot_size
        book["roi_lb_tick"], book["roi_ub_tick"] = INVALID_MIN, INVALID_MAX
        book["base_tick"], book["window_ticks"] = -_ANY_TICK, 2 * _ANY_TICK
        self._streams = self._arena.records(stream_dtype, 2)
        self._segments = [self._array(segment_dtype, layout.BLOCK_ROWS + 1) for _ in range(2)]
        self._ticks = [self._array("i8", layout.BLOCK_ROWS) for _ in range(2)]
        self._qtys = [self._array("f8", layout.BLOCK_ROWS) for _ in range(2)]
        self._kept = self._array(event_dtype, 0 if wanted.keep == KEEP_ALL else layout.BLOCK_ROWS)
        self._places = self._array("i8", layout.BLOCK_ROWS)
        self._work = self._arena.records(work_dtype, 1)
        for side, stream in enumerate(self._streams):
            stream["book"] = book.ctypes.data
            stream["is_local"] = side
            stream["kinds"] = kinds_of(by_order=wanted.by_order, is_local=side == 1)
            stream["last_ts"] = INVALID_MIN
            stream["chunk_rows"] = layout.BLOCK_ROWS
            stream["buffer_segments"] = self._segments[side].ctypes.data
            stream["buffer_ticks"] = self._ticks[side].ctypes.data
            stream["buffer_qtys"] = self._qtys[side].ctypes.data
        self._wrong: list[Any] = [None, None]

    def _array(self, dtype: Any, count: int) -> NDArray[Any]:
        size = np.dtype(dtype).itemsize * count
        address = self._arena.reserve(size, in_order=True)
        return np.frombuffer(memoryview((ctypes.c_uint8 * size).from_address(address)), dtype)

    def make(self, rows: NDArray[Any], first_row: int) -> Made:
        """The block of at most `BLOCK_ROWS` rows.

        A wrong row ends its side: this block and those that follow have nothing for it but the error.
        """
        record = np.zeros(1, block_dtype)
        made = record[0]
        work = self._work[0]
        work["rows"], work["count"] = rows.ctypes.data, len(rows)
        work["keep_all"] = int(self.wanted.keep == KEEP_ALL)
        work["kept"], work["places"] = self._kept.ctypes.data, self._places.ctypes.data
        work["low_tick"], work["high_tick"] = INVALID_MAX, INVALID_MIN
        note_rows.call(self._work.ctypes.data)
        for side in range(2):
            self._make_side(side, rows, first_row, made["sides"][side])
        made["first_row"], made["rows"] = first_row, len(rows)
        made["low_tick"], made["high_tick"] = work["low_tick"], work["high_tick"]
        made["latency_ns"] = work["latency_ns"]
        if work["latency_row"] >= 0:
            made["latency_row"] = first_row + work["latency_row"]
            made["latency_event"] = rows[work["latency_row"]]
        made["kept"] = work["num_kept"]
        parts = self._place(made, rows)
        crc = 0
        at = RECORD_BYTES
        for offset, part in parts:
            crc = isal_zlib.crc32(bytes(offset - at), crc)
            crc = isal_zlib.crc32(part, crc)
            at = offset + part.nbytes
        made["size"] = at
        made["crc"] = crc
        return Made(record, parts)

    def _make_side(self, side: int, rows: NDArray[Any], first_row: int, found: Any) -> None:
        stream, work = self._streams[side], self._work[0]
        first = int(work["first_rows"][side])
        found["first_row"] = -1
        found["window_tick"] = INVALID_MIN
        if first >= 0:
            found["first_row"], found["first_event"] = first_row + first, rows[first]
        if self._wrong[side] is None:
            if self.wanted.by_order:
                # Orders' rows leave them as they are, and equal sources make equal files.
                self._ticks[side][: len(rows)] = 0
                self._qtys[side][: len(rows)] = 0
            stream["row"] = rows.ctypes.data
            stream["rows_end"] = rows.ctypes.data + rows.nbytes
            stream["rows_done"] = 0
            address = self._streams.ctypes.data + side * stream_dtype.itemsize
            if prepare.prepare.call(address):
                number = (int(stream["error_row"]) - rows.ctypes.data) // ROW_BYTES
                code, last_ts = int(stream["error"]), int(stream["last_ts"])
                self._wrong[side] = (code, first_row + number, last_ts, rows[number].copy())
        if self._wrong[side] is not None:
            for name, value in zip(
                ("error", "error_row", "error_last_ts", "error_event"), self._wrong[side], strict=True
            ):
                found[name] = value
            self._segments[side][0] = (0, 0, 0, 0)
            return
        work["segments"][side], work["segments_end"][side] = stream["segment"], stream["segments_end"]
        work["ticks"][side] = stream["ticks"]
        note_segments.call(self._work.ctypes.data, side)
        found["segments"] = (int(stream["segments_end"]) - int(stream["segment"])) // _SEGMENT
        found["count"] = stream["rows_done"]
        self._segments[side][int(found["segments"])] = (0, 16 * int(found["count"]), 0, 0)
        found["window_tick"] = work["window_ticks"][side]
        if found["segments"]:
            found["first_ts"] = stream["next_ts"]
            found["last_ts"] = stream["last_ts"]
            assert stream["next_ts"] != NEVER

    def _place(self, made: Any, rows: NDArray[Any]) -> list[tuple[int, NDArray[Any]]]:
        """Where the parts of the block stand. What both sides have alike stands there once."""
        at = RECORD_BYTES
        parts: list[tuple[int, NDArray[Any]]] = []

        def add(part: NDArray[Any]) -> int:
            nonlocal at
            start = aligned(at, PART_ALIGN)
            if part.nbytes:
                parts.append((start, part.view(np.uint8)))
                at = start + part.nbytes
            return start

        exchange, local = made["sides"]
        is_shared = bool(self._work[0]["all_seen"]) and not self.wanted.by_order
        is_shared = is_shared and not exchange["error"] and not local["error"]
        for side, found in enumerate((exchange, local)):
            found["segments_at"] = add(self._segments[side][: int(found["segments"]) + 1])
        for side, found in enumerate((exchange, local)):
            if side == 1 and is_shared:
                found["ticks_at"], found["qtys_at"] = exchange["ticks_at"], exchange["qtys_at"]
                continue
            found["ticks_at"] = add(self._ticks[side][: int(found["count"])])
            found["qtys_at"] = add(self._qtys[side][: int(found["count"])])
        kept = rows if self.wanted.keep == KEEP_ALL else self._kept[: int(made["kept"])]
        made["rows_at"] = add(kept)
        return parts
