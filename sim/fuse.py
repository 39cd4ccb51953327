"""Best bids and offers (kind 5) fused with conflated depth into the most granular depth rows.

`FuseMarketDepth` is HftBacktest's tool for one stream of rows, as a converter has them; `fuse` takes whole archives,
and is what `BacktestAsset.fuse_bbo` does with what it loads. The rules stand in :mod:`hftd.book.fuse`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.book.fuse import fuse_archive, fuse_events
from hftd.book.fused_books import ROOM_ROWS, FusedBooks, as_event_rows
from hftd.errors import UsageError
from hftd.rows import BEST_ASK, BEST_BID
from hftd.types import BUY_EVENT, DEPTH_BBO_EVENT, EXCH_EVENT, KIND_MASK, LOCAL_EVENT, SELL_EVENT, event_dtype


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
            UsageError: There is no row of that index, or this was closed.
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

    def fuse(self, rows: NDArray[Any], first_row: int = 0) -> NDArray[Any]:
        """Fuse the next archive's rows, or the next part of them.

        Args:
            rows: The rows.
            first_row: The number of the first one, for errors.

        Raises:
            DataError: A row can't be fused.
        """
        rows = as_event_rows(rows)
        # The rows of the last one are the caller's.
        self._books.out, self._books.used = np.empty(len(rows) + ROOM_ROWS, event_dtype), 0
        self._books.fuse(fuse_archive, rows, first_row)
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


def bbo_rows(rows: NDArray[Any], bid_kind: int = BEST_BID, ask_kind: int = BEST_ASK) -> NDArray[Any]:
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
