"""Prices of one instrument's market that are on no tick.

An exchange that makes a tick finer quotes on the new one at once, and orders of before a change keep their prices. Such
a level fits in no book that counts in ticks: it is left out of what is published, remembered here, and the book is not
valid while one is there, or while the best price is on one. If the steps themselves have changed, it stays so until
the process ends.

Limits: `LEVELS_MAX` levels; with more, all of that book stays not valid until a snapshot has fewer.
"""

# pyright: basic

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.messages import STEPS_CHANGED, Instrument
from hftd.types import BUY_EVENT, DEPTH_CLEAR_EVENT, SELL_EVENT
from hftd.venues.reader import OFF_GRID_TICKS

LEVELS_MAX: Final = 10_000
_SIDES: Final = BUY_EVENT | SELL_EVENT


class Grid:
    """See the module.

    Args:
        instrument: It.

    Attributes:
        per_price: Ticks in a price of 1, as a double: what compiled code multiplies by.
        has_changed: The steps are others by now.
        best_is_off: The best bid or ask that was last told is on no tick.
        rows: Rows that were left out so far.
    """

    def __init__(self, instrument: Instrument) -> None:
        self.tick_size = instrument.tick_size
        self.per_price = 1.0 / float(instrument.tick_size)
        self.has_changed = instrument.trouble == STEPS_CHANGED
        self.rows = 0
        self._levels: set[tuple[int, float]] = set()
        self._is_full = False
        self.best_is_off = False

    @property
    def is_off(self) -> bool:
        """Whether the book can't be valid."""
        return self.has_changed or self.best_is_off or self._is_full or bool(self._levels)

    @property
    def text(self) -> str:
        """What is off, for people."""
        if self._levels:
            side, price = next(iter(self._levels))
            what = "bid" if side == BUY_EVENT else "ask"
            return f"{len(self._levels)} levels of its book, such as the {what} {price:.12g},"
        return "its best price"

    def lose(self) -> None:
        """The book is lost, and begins anew with a snapshot."""
        self._levels.clear()
        self._is_full = False

    def _are_off(self, rows: NDArray[Any]) -> NDArray[np.bool_]:
        ticks = rows["px"] * self.per_price
        away = np.abs(ticks - np.rint(ticks))
        off = (away > OFF_GRID_TICKS) & (away > np.abs(ticks) * 1e-15)
        return off & ((rows["ev"] & 0xFF) != DEPTH_CLEAR_EVENT)

    def on_levels(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Rows of depth some of which are on no tick: those that are, and the others are remembered."""
        off = self._are_off(rows)
        for row in rows[off]:
            level = int(row["ev"]) & _SIDES, float(row["px"])
            if row["qty"] == 0:
                self._levels.discard(level)
            elif len(self._levels) < LEVELS_MAX:
                self._levels.add(level)
            else:
                self._is_full = True
        self.rows += int(np.count_nonzero(off))
        return rows[~off]

    def on_snapshot(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The same for a whole book."""
        self.lose()
        return self.on_levels(rows)

    def on_best(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Best prices: those that are on a tick."""
        off = self._are_off(rows)
        self.best_is_off = bool(off.any())
        self.rows += int(np.count_nonzero(off))
        return rows[~off]
