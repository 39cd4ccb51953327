"""A price-level book in plain Python, by our rules and by the reference's, to find where they part."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.types import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    KIND_MASK,
    LOCAL_EVENT,
    SELL_EVENT,
)


class Side:
    """One side of a book; ticks have the sign that makes the best one the greatest.

    Args:
        is_reference: Go by the reference's rules: it looks for the next best level from a low bound that it
            forgets when the side is empty at its best, and a clear with a price skips the next level and
            leaves what stands beyond the best price.
    """

    def __init__(self, is_reference: bool) -> None:
        self.is_reference = is_reference
        self.levels: dict[int, float] = {}
        self.best: int | None = None
        self.low: int | None = None

    def below(self, tick: int) -> int | None:
        found = [level for level in self.levels if level < tick]
        if self.is_reference:
            found = [level for level in found if self.low is not None and level >= self.low]
        return max(found, default=None)

    def set(self, tick: int, qty: float, opposite: "Side") -> None:
        if qty > 0.0:
            self.levels[tick] = qty
            if self.best is None or tick > self.best:
                self.best = tick
                if opposite.best is not None and tick >= -opposite.best:
                    opposite.best = opposite.below(-tick)
            self.low = tick if self.low is None else min(self.low, tick)
            return
        self.levels.pop(tick, None)
        if tick == self.best:
            self.best = self.below(tick)
            if self.best is None:
                self.low = None

    def clear(self, upto: int | None) -> None:
        if upto is None:
            self.levels.clear()
            self.best = self.low = None
        elif self.is_reference:
            if self.best is not None:
                self.levels = {t: q for t, q in self.levels.items() if not upto <= t <= self.best}
            self.best = self.below(upto - 1)
            if self.best is None:
                self.low = None
        else:
            self.levels = {t: q for t, q in self.levels.items() if t < upto}
            if self.best is not None and self.best >= upto:
                self.best = self.below(upto)


class Book:
    """Both sides of a book."""

    def __init__(self, tick_size: float, lot_size: float, is_reference: bool = False) -> None:
        self.tick_size = tick_size
        self.lot_size = lot_size
        self.bids = Side(is_reference)
        self.asks = Side(is_reference)

    def apply(self, ev: int, px: float, qty: float) -> None:
        kind = ev & KIND_MASK
        if kind == DEPTH_CLEAR_EVENT:
            is_priced = np.isfinite(px) and ev & (BUY_EVENT | SELL_EVENT) != 0
            upto = round(px / self.tick_size) if is_priced else None
            if ev & BUY_EVENT or not ev & SELL_EVENT:
                self.bids.clear(upto)
            if ev & SELL_EVENT or not ev & BUY_EVENT:
                self.asks.clear(None if upto is None else -upto)
        elif kind in (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT):
            tick = round(px / self.tick_size)
            kept = qty if qty >= 0.5 * self.lot_size else 0.0
            if ev & BUY_EVENT:
                self.bids.set(tick, kept, self.asks)
            elif ev & SELL_EVENT:
                self.asks.set(-tick, kept, self.bids)

    @property
    def best_bid_tick(self) -> int | None:
        return self.bids.best

    @property
    def best_ask_tick(self) -> int | None:
        return None if self.asks.best is None else -self.asks.best

    def state(self) -> tuple[Any, ...]:
        return self.bids.best, self.asks.best, self.bids.levels, self.asks.levels


def until_they_part(rows: NDArray[Any], tick_size: float, lot_size: float) -> tuple[NDArray[Any], bool]:
    """The rows before the first at which the reference's book is another than ours.

    Returns:
        The rows, and whether both sides of the book at the exchange have a best price after each of them.
    """
    end = len(rows)
    for flag in (EXCH_EVENT, LOCAL_EVENT):
        book, reference = (Book(tick_size, lot_size, is_reference) for is_reference in (False, True))
        for number, row in enumerate(rows[:end]):
            if int(row["ev"]) & flag:
                values = int(row["ev"]), float(row["px"]), float(row["qty"])
                book.apply(*values)
                reference.apply(*values)
                if book.state() != reference.state():
                    end = number
                    break
    book, never_empty, first_ts = Book(tick_size, lot_size), True, rows["exch_ts"][0]
    for row in rows[:end]:
        if int(row["ev"]) & EXCH_EVENT:
            book.apply(int(row["ev"]), float(row["px"]), float(row["qty"]))
            if row["exch_ts"] > first_ts:
                never_empty &= book.bids.best is not None and book.asks.best is not None
    return rows[:end], never_empty
