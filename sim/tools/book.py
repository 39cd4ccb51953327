"""A book that follows archives up to a moment, in bounded memory."""

# pyright: basic

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hftd.book.book import write_levels
from hftd.compiled.arena import Arena
from hftd.compiled.jit import kernel
from hftd.compiled.layout import book_dtype, level_dtype
from hftd.compiled.native import load_f64, load_i64, store_i64
from hftd.compiled.row_access import ev_of, is_sound, is_time, px_of, qty_of
from hftd.errors import DataError
from hftd.hbt.feed import apply_book_row
from hftd.hbt.local import AssetSpec, fill_book, fill_market_orders, left_out_of_market_orders, market_orders
from hftd.hbt.views import view
from hftd.rows import EXCH_TS, LOCAL_TS, ROW_BYTES, Address, Ns
from hftd.types import (
    ADD_ORDER_EVENT,
    BUY,
    BUY_EVENT,
    DEPTH_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    INVALID_MIN,
    KIND_MASK,
    LOCAL_EVENT,
    SELL,
    SELL_EVENT,
    event_dtype,
)
from sim.archive.check import find_no_level
from sim.checks.rows import is_priced

END: Final = (1 << 63) - 1
_BOTH: Final = EXCH_EVENT | LOCAL_EVENT
_UNSORTED, _NO_TIME, _VALUE = 1, 2, 3
_CLOCKS: Final = {"local": (LOCAL_EVENT, LOCAL_TS), "exch": (EXCH_EVENT, EXCH_TS)}


@kernel("int64(int64, int64, int64, int64, int64, int64, int64)")
def _follow(
    book: Address, tick_size_at: Address, rows: Address, count: int, clock: int, until: Ns, found: Address
) -> int:
    """Apply the rows of a clock up to a time, inclusive.

    `clock` is the flag's bit number in the high half and the offset of the time in the low half; `found` holds the
    last time, and takes what is wrong with the row at which it stops.

    Returns:
        The rows that were passed; fewer than `count` where the next one is later, or wrong.
    """
    flag, ts_at = np.int64(1) << (clock >> 8), clock & 255
    tick_size = load_f64(tick_size_at)
    last = load_i64(found)
    for number in range(count):
        row = rows + number * ROW_BYTES
        ev = ev_of(row)
        if ev & flag == 0:
            continue
        ts = load_i64(row + ts_at)
        wrong = 0
        if not is_time(ts):
            wrong = _NO_TIME
        elif ts < last:
            wrong = _UNSORTED
        elif is_priced(ev & KIND_MASK) and not is_sound(px_of(row) / tick_size, qty_of(row)):
            wrong = _VALUE
        if wrong != 0:
            store_i64(found + 8, wrong)
            return number
        if ts > until:
            return number
        last = ts
        store_i64(found, last)
        apply_book_row(book, row)
    return count


class ArchiveBook:
    """The book that archives make, as the engine's local side (or its exchange) has it.

    Args:
        tick_size: The step of prices.
        lot_size: The step of quantities; a level of less than half of it is empty.
        by_order: Made from single orders (kinds 10 to 13) instead of levels.
        clock: `local`, or `exch` for the exchange's own book.

    Attributes:
        last_ts: The time of the last row that was applied; None before.
    """

    def __init__(
        self, tick_size: float, lot_size: float, *, by_order: bool = False, clock: str = "local"
    ) -> None:
        self._arena = Arena()
        self._spec = AssetSpec(tick_size, lot_size)
        self._book = self._arena.records(book_dtype, 1)
        fill_book(self._book[0], self._spec, self._arena)
        self.by_order = by_order
        if by_order:
            self._orders = fill_market_orders(self._book[0], self._arena)
        flag, ts_at = _CLOCKS[clock]
        self._clock = ((flag.bit_length() - 1) << 8) | ts_at
        self._tick_size = np.array([tick_size])
        self._found = np.array([INVALID_MIN, 0], np.int64)

    @property
    def last_ts(self) -> int | None:
        """The time of the last row that was applied, ns."""
        return None if self._found[0] == INVALID_MIN else int(self._found[0])

    def load(self, rows: NDArray[np.void], where: str) -> None:
        """Begin with an initial snapshot: rows of levels, or of added orders.

        Raises:
            DataError: A row can't be a level, or levels are given where the book is made from orders.
        """
        from hftd.hbt.feed import load_book

        kinds = rows["ev"] & np.uint64(KIND_MASK)
        if self.by_order and np.isin(kinds, (DEPTH_EVENT, DEPTH_SNAPSHOT_EVENT)).any():
            raise DataError(
                "the initial snapshot holds levels, but the book is made from single orders",
                where=where,
                hint="give rows of added orders (kind 10), the first in each queue first",
            )
        wrong = find_no_level(rows, self._spec.tick_size)
        if wrong is not None:
            px, qty = rows["px"][wrong], rows["qty"][wrong]
            raise DataError(f"row {wrong:,} (px {px}, qty {qty}) can't be a level", where=where)
        rows = np.ascontiguousarray(rows)
        load_book.call(self._book.ctypes.data, rows.ctypes.data, len(rows))

    def apply(
        self, block: NDArray[np.void], *, until_ts: int = END, where: str = "", first_row: int = 0
    ) -> bool:
        """Apply rows up to a time, inclusive.

        Args:
            block: Contiguous rows of `event_dtype`.
            until_ts: A time of the book's clock, ns.
            where: The file, for the error.
            first_row: The number of the block's first row in it.

        Returns:
            Whether all rows were passed; False where the next one is later.

        Raises:
            DataError: A row is out of order, or its time, price or quantity can't be.
        """
        passed = _follow.call(
            self._book.ctypes.data,
            self._tick_size.ctypes.data,
            block.ctypes.data,
            len(block),
            self._clock,
            until_ts,
            self._found.ctypes.data,
        )
        if self._found[1]:
            what = {
                _UNSORTED: "its time is earlier than that of a row before",
                _NO_TIME: "its time is beyond what a time can be",
                _VALUE: "its price or quantity can't be",
            }[int(self._found[1])]
            row = block[passed]
            values = ", ".join(f"{name} {row[name]}" for name in ("exch_ts", "local_ts", "px", "qty"))
            raise DataError(
                f"row {first_row + passed:,}: {what}: {values}",
                where=where,
                hint="`hftd validate` says what is wrong with the archive, and `--fix` writes a corrected copy",
            )
        return bool(passed == len(block))

    def left_out(self) -> list[str]:
        """What single orders had to be left out, as sentences."""
        return left_out_of_market_orders(self._book[0])

    def levels(self) -> NDArray[np.void]:
        """The levels from the best outwards, bids first, as snapshot rows of `event_dtype` without times."""
        parts: list[NDArray[Any]] = []
        for side, flag in ((BUY, BUY_EVENT), (SELL, SELL_EVENT)):
            count = write_levels.call(self._book.ctypes.data, side, 0, 0)
            levels = np.empty(count, level_dtype)
            write_levels.call(self._book.ctypes.data, side, levels.ctypes.data, count)
            rows = np.zeros(count, event_dtype)
            rows["ev"] = _BOTH | DEPTH_SNAPSHOT_EVENT | flag
            rows["px"] = levels["tick"] * self._spec.tick_size
            rows["qty"] = levels["qty"]
            parts.append(rows)
        return np.concatenate(parts)

    def orders(self) -> NDArray[np.void]:
        """The single orders as rows that add them: bids first, from the best price outwards, each queue by place."""
        kept = market_orders(self._orders[0])
        outwards = np.where(kept["side"] == BUY, -kept["price_tick"], kept["price_tick"])
        kept = kept[np.lexsort((kept["arrival"], outwards, -kept["side"]))]
        rows = np.zeros(len(kept), event_dtype)
        flags = np.where(kept["side"] == BUY, BUY_EVENT, SELL_EVENT).astype(np.uint64)
        rows["ev"] = flags | np.uint64(_BOTH | ADD_ORDER_EVENT)
        rows["px"] = kept["price_tick"] * self._spec.tick_size
        rows["qty"] = kept["qty"]
        rows["order_id"] = kept["order_id"].astype(np.uint64)
        return rows

    def rows(self) -> NDArray[np.void]:
        """`orders` of a book that is made from them, else `levels`."""
        return self.orders() if self.by_order else self.levels()

    @property
    def best(self) -> tuple[int, int]:
        """The best bid and ask, in ticks; see `hftd.types.INVALID_MIN`."""
        book = view(self._book.ctypes.data, book_dtype)[0]
        return int(book["best_bid_tick"]), int(book["best_ask_tick"])
