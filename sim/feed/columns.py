"""Rows whose columns are made once and kept, for many runs over the same data.

A backtest makes its columns as it goes, chunk by chunk, and forgets them. Who runs a strategy many times, over its
parameters, makes them once: the runs then only read them. The results are the same.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.compiled.arena import Arena
from hftd.compiled.layout import book_dtype
from hftd.errors import CURE, DataError
from hftd.hbt.local import AssetSpec, fill_book
from hftd.rows import ROW_BYTES
from hftd.types import INVALID_MIN, event_dtype
from sim import given
from sim.feed import prepare
from sim.model.layout import (
    KINDS_OF_LEVELS,
    KINDS_OF_ORDERS,
    KINDS_OF_ORDERS_AT_EXCHANGE,
    NEVER,
    PREPARE_NEGATIVE_QTY,
    PREPARE_NO_TIME,
    PREPARE_NOT_FINITE,
    PREPARE_UNSORTED,
    segment_dtype,
    stream_dtype,
)

_WHAT_IS_WRONG = {
    PREPARE_UNSORTED: ("goes back in time", f"sort the rows: {CURE} puts them in the order of both clocks"),
    PREPARE_NOT_FINITE: ("has a price or quantity that is not a number", f"{CURE} drops such rows"),
    PREPARE_NEGATIVE_QTY: ("has a negative quantity", f"{CURE} drops such rows"),
    PREPARE_NO_TIME: ("has an impossible time", f"times are nanoseconds since 1970; {CURE} drops such rows"),
}
# What the columns depend on besides the rows: a run that differs in one of these makes its own.
_STREAM_FIELDS = ("is_local", "offset_ns", "kinds")
_BOOK_FIELDS = ("tick_size", "lot_size", "roi_lb_tick", "roi_ub_tick")
_WINDOW_FIELDS = ("base_tick", "window_ticks")
_COLUMNS = ("segment", "segments_end", "ticks", "qtys", "next_ts", "rows_done")


def kinds_of(*, by_order: bool, is_local: bool) -> int:
    """Which rows a side's stream takes (KINDS_*)."""
    if not by_order:
        return KINDS_OF_LEVELS
    return KINDS_OF_ORDERS if is_local else KINDS_OF_ORDERS_AT_EXCHANGE


def set_buffers(stream: Any, arena: Arena, rows: int, segments: int = 0) -> None:
    """Give a stream's record the memory for that many rows, or segments, at a time; it is touched as it is used."""
    stream["chunk_rows"] = rows
    # A row outside the window may close one segment and open another; one record more tells the last one's end.
    segments = max(2 * rows, segments) + 1
    stream["buffer_segments"] = arena.reserve(segment_dtype.itemsize * segments, in_order=True)
    stream["buffer_ticks"] = arena.reserve(8 * rows, in_order=True)
    stream["buffer_qtys"] = arena.reserve(8 * rows, in_order=True)


def row_error(stream: Any, rows: NDArray[Any], where: str, first_row: int = 0) -> DataError:
    """What is wrong with the row at which the preparation of a stream stopped; the first of `rows` has that number."""
    number = (int(stream["error_row"]) - int(rows.ctypes.data)) // ROW_BYTES
    clock = "local_ts" if stream["is_local"] else "exch_ts"
    last_ts = int(stream["last_ts"])
    return wrong_row(int(stream["error"]), first_row + number, rows[number], clock, last_ts, where)


def wrong_row(code: int, number: int, row: Any, clock: str, last_ts: int, where: str) -> DataError:
    """What is wrong with a row, by the code that its preparation gave."""
    what, hint = _WHAT_IS_WRONG[code]
    values = ", ".join(f"{name}={row[name]}" for name in ("exch_ts", "local_ts", "px", "qty"))
    before = f" by {clock}, which was {last_ts} before it" if code == PREPARE_UNSORTED else ""
    return DataError(f"row {number} ({values}) {what}{before}", where=where, hint=hint)


class Prepared:
    """Rows with their columns, to be given to `BacktestAsset.data` as often as wanted.

    Args:
        data: An npz file, or an array of `event_dtype`.
        tick_size: That of the asset.
        lot_size: That of the asset.
        roi: Its range of interest, if it has one.
        latency_offset: Its offset of the feed's latency.
        by_order: Whether the rows are single orders, for `l3_fifo_queue_model`.

    Raises:
        DataError: The rows can't be read, go back in time, or hold something else than numbers.
    """

    def __init__(
        self,
        data: str | Path | NDArray[Any],
        tick_size: float,
        lot_size: float,
        *,
        roi: tuple[float, float] | None = None,
        latency_offset: int = 0,
        by_order: bool = False,
    ) -> None:
        from sim.feed.asset import as_rows

        if isinstance(data, np.ndarray):
            self.rows: NDArray[Any] = as_rows(data, event_dtype, "the feed data")
            where = "the array"
        else:
            from sim.archive import read_events

            self.rows, where = read_events(Path(data)), str(data)
        self._arena = Arena()
        self._books = self._arena.records(book_dtype, 2)
        self._streams = self._arena.records(stream_dtype, 2)
        spec = AssetSpec(given.number(tick_size, "tick_size"), given.number(lot_size, "lot_size"), roi=roi)
        for number, stream in enumerate(self._streams):
            fill_book(self._books[number], spec, self._arena)
            stream["book"] = self._books.ctypes.data + number * book_dtype.itemsize
            stream["is_local"] = number
            stream["offset_ns"] = latency_offset
            stream["kinds"] = kinds_of(by_order=by_order, is_local=number == 1)
            stream["last_ts"] = INVALID_MIN
            stream["next_ts"] = NEVER
            stream["row"] = self.rows.ctypes.data
            stream["rows_end"] = self.rows.ctypes.data + self.rows.nbytes
            set_buffers(stream, self._arena, len(self.rows))
            prepare.prepare.call(self._streams.ctypes.data + number * stream_dtype.itemsize)
            if stream["error"]:
                raise row_error(stream, self.rows, where)

    def play_into(self, stream: Any) -> bool:
        """Let a run's stream read these columns; False if the run needs other ones, which it makes itself."""
        mine = self._streams[int(stream["is_local"])]
        book = self._books[int(stream["is_local"])]
        theirs = np.frombuffer(_bytes_at(int(stream["book"]), book_dtype.itemsize), book_dtype)[0]
        fits = all(stream[name] == mine[name] for name in _STREAM_FIELDS)
        fits = fits and all(theirs[name] == book[name] for name in _BOOK_FIELDS)
        # A run that has no window yet takes this one.
        fits = fits and (
            not theirs["window_ticks"] or all(theirs[name] == book[name] for name in _WINDOW_FIELDS)
        )
        if not fits or (mine["next_ts"] != NEVER and int(mine["next_ts"]) < int(stream["last_ts"])):
            return False
        for name in _WINDOW_FIELDS:
            theirs[name] = book[name]
        done = int(stream["rows_done"])
        for name in _COLUMNS:
            stream[name] = mine[name]
        stream["rows_done"] = done + int(mine["rows_done"])
        stream["row"] = stream["rows_end"]
        stream["last_ts"] = mine["last_ts"]
        return True


def _bytes_at(address: int, size: int) -> Any:
    import ctypes

    return (ctypes.c_uint8 * size).from_address(address)
