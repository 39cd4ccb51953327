"""Whole books to differences, by HftBacktest's name and arguments; compiled code may use the class, too.

The converters here make differences of whole books by themselves (:mod:`sim.convert.reader.wholebook`); this is for
books from elsewhere.
"""

# pyright: basic

from typing import Final

import numpy as np
from numba import boolean, float64, int64
from numba.experimental import jitclass  # pyright: ignore[reportPrivateImportUsage]

UNCHANGED: Final = 0
CHANGED: Final = 1
INSERTED: Final = 2
"""A level's state against the book before."""
IN_THE_BOOK_DELETION: Final = 0
OUT_OF_BOOK_DELETION_BELOW: Final = 1
OUT_OF_BOOK_DELETION_ABOVE: Final = 2
"""How a level left: it is gone, or the book of so many levels no longer reaches there."""


@jitclass(
    [
        ("num_levels", int64),
        ("tick_size", float64),
        ("lot_size", float64),
        ("is_first", boolean),
        ("bids", float64[:, ::1]),
        ("asks", float64[:, ::1]),
    ]
)
class DiffOrderBookSnapshot:
    """What changes from one whole book to the next.

    Args:
        levels: The most levels a side that a book has.
        tick_size: By which prices are compared.
        lot_size: By which quantities are compared.
    """

    def __init__(self, levels, tick_size, lot_size):
        self.num_levels = levels
        self.tick_size = tick_size
        self.lot_size = lot_size
        self.is_first = True
        self.bids = np.empty((0, 3))
        self.asks = np.empty((0, 3))

    def snapshot(self, bid_px, bid_qty, ask_px, ask_qty):
        """Take the next book: prices and quantities of its bids and asks.

        Returns:
            The bids and the asks, each row a level's price, quantity and state (of the first book: CHANGED); and the
            bids and the asks that left, each row a price and how it left.

        Raises:
            ValueError: A side has not as many prices as quantities, or more than there are levels.
        """
        if len(bid_px) != len(bid_qty) or len(ask_px) != len(ask_qty):
            raise ValueError("a side must have as many prices as quantities")
        if len(bid_px) > self.num_levels or len(ask_px) > self.num_levels:
            raise ValueError("a side has more levels than were announced")
        bids = self._changed(self.bids, bid_px, bid_qty)
        asks = self._changed(self.asks, ask_px, ask_qty)
        bids_gone = self._gone(self.bids, bids)
        asks_gone = self._gone(self.asks, asks)
        self.bids = bids
        self.asks = asks
        self.is_first = False
        return bids.copy(), asks.copy(), bids_gone, asks_gone

    def _changed(self, before, px, qty):
        levels = np.empty((len(px), 3))
        for i in range(len(px)):
            levels[i, 0] = px[i]
            levels[i, 1] = qty[i]
            levels[i, 2] = CHANGED if self.is_first else INSERTED
            for k in range(len(before)):
                if np.round(before[k, 0] / self.tick_size) == np.round(px[i] / self.tick_size):
                    is_same = np.round(before[k, 1] / self.lot_size) == np.round(qty[i] / self.lot_size)
                    levels[i, 2] = UNCHANGED if is_same else CHANGED
                    break
        return levels

    def _gone(self, before, now):
        gone = np.empty((len(before), 2))
        count = 0
        lowest = np.inf
        highest = -np.inf
        for i in range(len(now)):
            tick = np.round(now[i, 0] / self.tick_size)
            lowest = min(lowest, tick)
            highest = max(highest, tick)
        for k in range(len(before)):
            tick = np.round(before[k, 0] / self.tick_size)
            is_there = False
            for i in range(len(now)):
                if np.round(now[i, 0] / self.tick_size) == tick:
                    is_there = True
                    break
            if not is_there:
                gone[count, 0] = tick * self.tick_size
                gone[count, 1] = IN_THE_BOOK_DELETION
                if tick < lowest:
                    gone[count, 1] = OUT_OF_BOOK_DELETION_BELOW
                elif tick > highest:
                    gone[count, 1] = OUT_OF_BOOK_DELETION_ABOVE
                count += 1
        return gone[:count].copy()
