"""A book that is replayed row by row, in plain Python, for looking at archives."""

from dataclasses import dataclass, field

import numpy as np

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    KIND_MASK,
    TRADE_EVENT,
)


@dataclass
class ReplayedBook:
    """Quantities in lots by price in ticks."""

    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    best_bid: int = -(1 << 60)
    best_ask: int = 1 << 60

    def apply(self, is_bid: bool, tick: int, lots: int) -> None:
        side = self.bids if is_bid else self.asks
        if lots:
            side[tick] = lots
            if is_bid:
                self.best_bid = max(self.best_bid, tick)
            else:
                self.best_ask = min(self.best_ask, tick)
            return
        del side[tick]
        if is_bid and tick == self.best_bid:
            self.best_bid = max(side, default=-(1 << 60))
        elif not is_bid and tick == self.best_ask:
            self.best_ask = min(side, default=1 << 60)

    @property
    def is_crossed(self) -> bool:
        return self.best_bid >= self.best_ask


def columns(rows, tick_size, lot_size):
    """Kind, whether it is the bid side, tick and lots of each row, as lists."""
    kinds = (rows["ev"] & np.uint64(KIND_MASK)).astype(int)
    bids = (rows["ev"] & np.uint64(BUY_EVENT)) != 0
    ticks = np.round(rows["px"] / tick_size).astype(int)
    lots = np.round(rows["qty"] / lot_size).astype(int)
    return kinds.tolist(), bids.tolist(), ticks.tolist(), lots.tolist()


def touches(rows, tick_size, lot_size):
    """Time, best bid and best ask after each depth message: i8[n, 3]."""
    book = ReplayedBook()
    found = []
    times = rows["exch_ts"].tolist()
    for i, (kind, is_bid, tick, lots) in enumerate(zip(*columns(rows, tick_size, lot_size), strict=True)):
        if kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
            book.apply(is_bid, tick, lots)
            last = i + 1 == len(times) or times[i + 1] != times[i]
            if last:
                found.append((times[i], book.best_bid, book.best_ask))
        else:
            assert kind in (TRADE_EVENT, DEPTH_CLEAR_EVENT)
    return np.array(found)
