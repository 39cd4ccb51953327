"""Best bids and offers (kind 5) fused with conflated depth into the most granular depth rows.

`FuseMarketDepth` is HftBacktest's tool for one stream of rows, as a converter has them; `fuse` takes whole archives,
and is what `BacktestAsset.fuse_bbo` does with what it loads. The rules stand in :mod:`hftd.fuse`.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.arena import Arena
from hftd.errors import DataError, OrderError, UsageError
from hftd.fuse import (
    FUSE_NEGATIVE_QTY,
    FUSE_NO_ROOM,
    FUSE_NO_SIDE,
    FUSE_NOT_DEPTH,
    FUSE_NOT_FINITE,
    FUSE_OK,
    FUSE_TOO_FAR,
    fuse_archive,
    fuse_events,
    fuser_dtype,
)
from hftd.fused_levels import MAX_FAR_FUSED, NO_KEY
from hftd.jit import Kernel
from hftd.layout import WINDOW_TICKS
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, EXCH_EVENT, KIND_MASK, LOCAL_EVENT, SELL_EVENT, event_dtype

ROOM_ROWS: Final = 1 << 12
"""Fused rows that there is room for beside one for each row."""

_WHAT_IS_WRONG = {
    FUSE_NOT_FINITE: ("has a price or quantity that is not a number", "remove or repair the row"),
    FUSE_NEGATIVE_QTY: ("has a negative quantity", "remove or repair the row"),
    FUSE_NO_SIDE: ("is of no side", "set BUY_EVENT for a bid and SELL_EVENT for an ask"),
    FUSE_NOT_DEPTH: (
        "is of a kind that can't be fused",
        "give depth, snapshot, clear and best-bid-offer rows",
    ),
    FUSE_TOO_FAR: (
        f"is one of more than {MAX_FAR_FUSED} levels far from the market",
        "is the tick size right?",
    ),
}


def as_event_rows(rows: Any, what: str = "the rows") -> NDArray[Any]:
    """An array of events as compiled code reads it.

    Raises:
        DataError: It is none.
    """
    if not isinstance(rows, np.ndarray) or rows.dtype != event_dtype or rows.ndim != 1:
        kind = (
            f"{rows.dtype} in {rows.ndim} dimensions" if isinstance(rows, np.ndarray) else type(rows).__name__
        )
        raise DataError(f"{what} are {kind}", hint=f"give a one-dimensional array of {event_dtype}")
    return np.ascontiguousarray(rows)


class FusedBooks:
    """The memory of fused books, and the loop that grows the room for what they write.

    Args:
        count: How many books.
        tick_size: The smallest step of prices.
        lot_size: The smallest step of quantities; less than half of it is nothing.

    Raises:
        OrderError: A size is not a positive number.
    """

    def __init__(self, count: int, tick_size: float, lot_size: float) -> None:
        for what, size in (("tick_size", tick_size), ("lot_size", lot_size)):
            if not (size > 0.0 and np.isfinite(size)):
                raise OrderError(f"{what} is {size!r}, but must be a positive number")
        self.out = np.empty(0, event_dtype)
        self.used = 0
        self._arena = Arena()
        self.rows = self._arena.records(fuser_dtype, count)
        first = int(self.rows.ctypes.data)
        self.addresses = [first + number * fuser_dtype.itemsize for number in range(count)]
        for row in self.rows:
            row["tick_size"], row["lot_size"] = tick_size, lot_size
            for name, sign in (("bids", 1), ("asks", -1)):
                side = row[name]
                side["sign"], side["best"], side["worst"] = sign, NO_KEY, -NO_KEY
                for column in ("qtys", "times"):
                    side[column] = self._arena.reserve(8 * WINDOW_TICKS)
                for column in ("far_keys", "far_qtys", "far_times"):
                    side[column] = self._arena.reserve(8 * MAX_FAR_FUSED)

    def fuse(self, kernel: Kernel, rows: NDArray[Any]) -> None:
        """Fuse rows; what comes of them goes behind the first `used` rows of `out`, which grows as it must.

        Raises:
            DataError: A row can't be fused; those before it are.
        """
        done = np.zeros(2, np.int64)
        taken = 0
        while True:
            code = kernel.call(
                *self.addresses,
                rows.ctypes.data + taken * event_dtype.itemsize,
                len(rows) - taken,
                self.out.ctypes.data + self.used * event_dtype.itemsize,
                len(self.out) - self.used,
                done.ctypes.data,
            )
            taken += int(done[0])
            self.used += int(done[1])
            if code == FUSE_OK:
                return
            if code != FUSE_NO_ROOM:
                raise self._error(code, rows, taken)
            self._grow(len(rows) - taken)

    def _grow(self, rows_left: int) -> None:
        levels = sum(int(row[side]["count"]) for row in self.rows for side in ("bids", "asks"))
        room = max(len(self.out) // 2, rows_left) + levels + ROOM_ROWS
        larger = np.empty(len(self.out) + room, event_dtype)
        larger[: self.used] = self.out[: self.used]
        self.out = larger

    def _error(self, code: int, rows: NDArray[Any], number: int) -> DataError:
        what, hint = _WHAT_IS_WRONG[code]
        row = rows[number]
        values = f"ev={int(row['ev']):#x}, " + ", ".join(
            f"{name}={row[name]}" for name in ("exch_ts", "local_ts", "px", "qty")
        )
        return DataError(f"row {number} ({values}) {what}", hint=hint)


class FuseMarketDepth:
    """Combines best bids and offers with conflated depth as they arrive, and keeps the rows that come of it.

    Args:
        tick_size: The smallest step of prices.
        lot_size: The smallest step of quantities; less than half of it is nothing.

    Raises:
        OrderError: A size is not a positive number.
    """

    def __init__(self, tick_size: float, lot_size: float) -> None:
        self._books: FusedBooks | None = FusedBooks(1, tick_size, lot_size)

    def process_event(self, ev: NDArray[Any], index: int, add: bool) -> None:
        """Take one row: depth, a snapshot's level, a clear, or a best bid or offer.

        Args:
            ev: Rows, shape (n,), `event_dtype`.
            index: Which of them.
            add: Whether what comes of it is kept in `fused_events`; otherwise only the book follows.

        Raises:
            DataError: The row can't be fused.
            UsageError: The index is none of the rows', or this was closed.
        """
        rows = as_event_rows(ev)
        if not 0 <= index < len(rows):
            raise UsageError(f"there is no row {index}: there are {len(rows)}")
        self._process(rows[index : index + 1], add)

    def process_events(self, rows: NDArray[Any], add: bool = True) -> None:
        """Take rows, in the order in which they arrived; as `process_event` for each, but fast.

        Args:
            rows: Shape (n,), `event_dtype`.
            add: Whether what comes of them is kept in `fused_events`.

        Raises:
            DataError: A row can't be fused; those before it were.
            UsageError: This was closed.
        """
        self._process(as_event_rows(rows), add)

    def _process(self, rows: NDArray[Any], add: bool) -> None:
        if self._books is None:
            raise UsageError("this FuseMarketDepth is closed", hint="make a new one")
        used = self._books.used
        try:
            self._books.fuse(fuse_events, rows)
        finally:
            if not add:
                self._books.used = used

    @property
    def fused_events(self) -> NDArray[Any]:
        """What came of the rows so far, shape (n,), `event_dtype`: depth and clear rows in the order of arrival."""
        if self._books is None:
            return np.empty(0, event_dtype)
        return self._books.out[: self._books.used]

    def close(self) -> None:
        """Free the book. What `fused_events` gave stays."""
        self._books = None


class ArchiveFuser:
    """Fuses archives that follow each other, one after the other, as `fuse` does with one.

    Args:
        tick_size: The smallest step of prices.
        lot_size: The smallest step of quantities.
        initial_snapshot: Rows of the book before the first archive, `event_dtype`.
    """

    def __init__(
        self, tick_size: float, lot_size: float, initial_snapshot: NDArray[Any] | None = None
    ) -> None:
        self._books = FusedBooks(2, tick_size, lot_size)
        if initial_snapshot is not None:
            # Whatever its flags, both sides start from it.
            snapshot = as_event_rows(initial_snapshot, "the initial snapshot").copy()
            snapshot["ev"] |= np.uint64(EXCH_EVENT | LOCAL_EVENT)
            self.fuse(snapshot)

    def fuse(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Fuse the next archive's rows.

        Raises:
            DataError: A row can't be fused.
        """
        rows = as_event_rows(rows)
        # The rows of the last one are the caller's.
        self._books.out, self._books.used = np.empty(len(rows) + ROOM_ROWS, event_dtype), 0
        self._books.fuse(fuse_archive, rows)
        return self._books.out[: self._books.used]


def fuse(
    rows: NDArray[Any], tick_size: float, lot_size: float, initial_snapshot: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Fuse the best bids and offers of an archive with its depth.

    Each clock's rows make a book of their own, in the order in which it sees them; rows that come of a row stand in
    its place, so the result is in the order of both clocks if the archive was. Trades and user events stay.

    Args:
        rows: An archive's rows, shape (n,), `event_dtype`, with EXCH_EVENT and LOCAL_EVENT where they are seen.
        tick_size: The smallest step of prices.
        lot_size: The smallest step of quantities; less than half of it is nothing.
        initial_snapshot: Rows of the book before the archive.

    Returns:
        A new array without best-bid-offer rows.

    Raises:
        DataError: The rows are no rows, or one of them can't be fused.
    """
    return ArchiveFuser(tick_size, lot_size, initial_snapshot).fuse(rows)


def bbo_rows(rows: NDArray[Any], bid_kind: int = 103, ask_kind: int = 104) -> NDArray[Any]:
    """An archive whose best bids and offers are user events, with best-bid-offer rows (kind 5) in their place.

    Args:
        rows: An archive's rows, such as those of `hftd convert --book-ticker`.
        bid_kind: The kind of best bids.
        ask_kind: The kind of best asks.
    """
    found = as_event_rows(rows).copy()
    kinds = found["ev"] & np.uint64(KIND_MASK)
    for kind, side in ((bid_kind, BUY_EVENT), (ask_kind, SELL_EVENT)):
        of_kind = kinds == kind
        flags = found["ev"][of_kind] & np.uint64(
            ~(KIND_MASK | BUY_EVENT | SELL_EVENT) & 0xFFFF_FFFF_FFFF_FFFF
        )
        found["ev"][of_kind] = flags | np.uint64(DEPTH_BBO_EVENT | side)
    return found
