"""Fused books (:mod:`hftd.book.fuse`) for Python: their memory, and room for what they write."""

# pyright: basic

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.book.fuse import (
    FUSE_NEGATIVE_QTY,
    FUSE_NO_ROOM,
    FUSE_NO_SIDE,
    FUSE_NOT_DEPTH,
    FUSE_NOT_FINITE,
    FUSE_OK,
    FUSE_TOO_FAR,
    fuser_dtype,
)
from hftd.book.fused_levels import MAX_FAR_FUSED, NO_KEY
from hftd.compiled.arena import Arena
from hftd.compiled.jit import Kernel
from hftd.compiled.layout import WINDOW_TICKS
from hftd.errors import CURE, DataError, OrderError
from hftd.rows import ROW_BYTES
from hftd.types import event_dtype

ROOM_ROWS: Final = 1 << 12
"""Fused rows that there is room for beside one for each row."""

_WHAT_IS_WRONG = {
    FUSE_NOT_FINITE: (
        "has a price or quantity that is not a number",
        f"{CURE} drops such rows",
    ),
    FUSE_NEGATIVE_QTY: ("has a negative quantity", f"{CURE} drops such rows"),
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
        DataError: The value is not valid.
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

    def fuse(self, kernel: Kernel, rows: NDArray[Any], first_row: int = 0) -> None:
        """Fuse rows; what comes of them goes behind the first `used` rows of `out`, which grows as it must.

        Args:
            kernel: The compiled fuser.
            rows: The rows.
            first_row: The number of the first one, for errors.

        Raises:
            DataError: A row can't be fused; those before it are.
        """
        done = np.zeros(2, np.int64)
        taken = 0
        while True:
            code = kernel.call(
                *self.addresses,
                rows.ctypes.data + taken * ROW_BYTES,
                len(rows) - taken,
                self.out.ctypes.data + self.used * ROW_BYTES,
                len(self.out) - self.used,
                done.ctypes.data,
            )
            taken += int(done[0])
            self.used += int(done[1])
            if code == FUSE_OK:
                return
            if code != FUSE_NO_ROOM:
                raise self.error(code, rows, taken, first_row)
            self.grow(len(rows) - taken)

    def grow(self, rows_left: int) -> None:
        """Make room for what rows that are left may become."""
        levels = sum(int(row[side]["count"]) for row in self.rows for side in ("bids", "asks"))
        room = max(len(self.out) // 2, rows_left) + levels + ROOM_ROWS
        larger = np.empty(len(self.out) + room, event_dtype)
        larger[: self.used] = self.out[: self.used]
        self.out = larger

    def error(self, code: int, rows: NDArray[Any], number: int, first_row: int = 0) -> DataError:
        """What is wrong with a row at which the fuser stopped."""
        what, hint = _WHAT_IS_WRONG[code]
        row = rows[number]
        values = f"ev={int(row['ev']):#x}, " + ", ".join(
            f"{name}={row[name]}" for name in ("exch_ts", "local_ts", "px", "qty")
        )
        return DataError(f"row {first_row + number} ({values}) {what}", hint=hint)
