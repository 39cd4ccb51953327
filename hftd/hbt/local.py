"""The local side's memory for an asset, set up from what is known of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.book.book import far_qty, write_levels
from hftd.book.market_orders import apply_order_rows
from hftd.compiled.arena import Arena
from hftd.compiled.layout import (
    MAX_FAR_LEVELS,
    MAX_MARKET_ORDERS,
    MAX_ORDERS,
    MAX_USER_EVENTS,
    WINDOW_TICKS,
    market_order_dtype,
    market_orders_dtype,
    order_dtype,
)
from hftd.compiled.order_index import FIRST_INDEX_BITS, INDEX_BYTES
from hftd.errors import OrderError
from hftd.hbt.views import view
from hftd.types import INVALID_MAX, INVALID_MIN

MAX_ROI_TICKS = 1 << 28
"""A range of interest that is wider is a mistake."""


@dataclass(frozen=True)
class Contract:
    """What a position is worth.

    Args:
        size: Units of the underlying in one contract; of an inverse one, its sum of the quote currency.
        inverse: Whether it is settled in the base currency, so that its value falls with the price.
    """

    size: float = 1.0
    inverse: bool = False

    def equity(self, balance: float, position: float, fee: float, price: float) -> float:
        """Balance and position together, less fees. A flat position is worth nothing, whatever the price."""
        if self.inverse:
            if price == 0.0:
                price = float("nan")
            worth = self.size * position / price if position != 0.0 else 0.0
            return -balance - worth - fee
        worth = self.size * position * price if position != 0.0 else 0.0
        return balance + worth - fee


class AssetSpec:
    """What the local side must know of an asset.

    Args:
        tick_size: The smallest step of prices, positive.
        lot_size: The smallest step of quantities, positive.
        last_trades_capacity: 0 to keep no `last_trades`; otherwise they are kept until they are cleared.
        roi: The lowest and highest price of interest; levels outside it are ignored.
        name: The asset in messages.
        user_events_capacity: How many `user_events` are kept until they are cleared; 0 to keep none.
    """

    def __init__(
        self,
        tick_size: float,
        lot_size: float,
        last_trades_capacity: int = 0,
        roi: tuple[float, float] | None = None,
        name: str = "",
        user_events_capacity: int = 0,
    ) -> None:
        where = f"asset {name}" if name else "asset"
        for what, size in (("tick_size", tick_size), ("lot_size", lot_size)):
            if not (size > 0.0 and np.isfinite(size)):
                raise OrderError(
                    f"{what} is {size!r}, but must be a positive number",
                    where=where,
                    hint=f"set {what} as the exchange states it",
                )
        if last_trades_capacity < 0:
            raise OrderError(
                f"last_trades_capacity is {last_trades_capacity}, but can't be negative", where=where
            )
        if not 0 <= user_events_capacity <= MAX_USER_EVENTS:
            raise OrderError(
                f"user_events_capacity is {user_events_capacity}, but must lie between 0 and {MAX_USER_EVENTS}",
                where=where,
                hint="clear_user_events makes room",
            )
        self.tick_size = float(tick_size)
        self.lot_size = float(lot_size)
        self.last_trades_capacity = int(last_trades_capacity)
        self.user_events_capacity = int(user_events_capacity)
        self.name = name
        self.roi_lb_tick, self.roi_ub_tick = INVALID_MIN, INVALID_MAX
        if roi is not None:
            if not np.isfinite(roi).all():
                raise OrderError(
                    f"the range of interest {roi} is not one of numbers", where=where, hint="give two prices"
                )
            lower, upper = (round(price / tick_size) for price in roi)
            if lower >= upper:
                raise OrderError(
                    f"the range of interest {roi} is empty", where=where, hint="its lower bound comes first"
                )
            if upper - lower >= MAX_ROI_TICKS:
                raise OrderError(
                    f"the range of interest {roi} has {upper - lower + 1} ticks",
                    where=where,
                    hint=f"at most {MAX_ROI_TICKS} have room; is the tick size right?",
                )
            self.roi_lb_tick, self.roi_ub_tick = lower, upper

    @property
    def has_roi(self) -> bool:
        """Whether there is a range of interest."""
        return self.roi_lb_tick != INVALID_MIN


def fill_book(row: Any, spec: AssetSpec, arena: Arena) -> None:
    """Set up the memory of a book record."""
    row["tick_size"] = spec.tick_size
    row["lot_size"] = spec.lot_size
    row["best_bid_tick"], row["best_ask_tick"] = INVALID_MIN, INVALID_MAX
    window_ticks = WINDOW_TICKS
    if spec.has_roi:
        # Nothing lies outside the range, so the range is the window, and strategies see it as an array.
        window_ticks = spec.roi_ub_tick - spec.roi_lb_tick + 1
        row["base_tick"], row["window_ticks"] = spec.roi_lb_tick, window_ticks
    for side in ("bid", "ask"):
        row[f"{side}s"] = arena.reserve(8 * window_ticks)
        row[f"low_{side}_tick"], row[f"high_{side}_tick"] = INVALID_MAX, INVALID_MIN
        row[f"far_{side}_ticks"] = arena.reserve(8 * MAX_FAR_LEVELS)
        row[f"far_{side}_qtys"] = arena.reserve(8 * MAX_FAR_LEVELS)
    row["roi_lb_tick"], row["roi_ub_tick"] = spec.roi_lb_tick, spec.roi_ub_tick
    row["fn_far_qty"] = far_qty.address
    row["fn_write_levels"] = write_levels.address


def fill_orders(row: Any, arena: Arena, record_bytes: int = order_dtype.itemsize) -> None:
    """Set up the memory of a table of orders."""
    row["pool"] = arena.reserve(record_bytes * MAX_ORDERS)
    row["index"]["entries"] = arena.reserve(INDEX_BYTES)
    row["index"]["spare"] = arena.reserve(INDEX_BYTES)
    row["index"]["bits"] = FIRST_INDEX_BITS


def fill_market_orders(book: Any, arena: Arena) -> NDArray[Any]:
    """Let a book record, set up by `fill_book`, be made from single orders.

    Returns:
        Its `market_orders_dtype` record, shape (1,).
    """
    rows = arena.records(market_orders_dtype, 1)
    rows[0]["pool"] = arena.reserve(market_order_dtype.itemsize * MAX_MARKET_ORDERS)
    rows[0]["index"]["entries"] = arena.reserve(INDEX_BYTES)
    rows[0]["index"]["spare"] = arena.reserve(INDEX_BYTES)
    rows[0]["index"]["bits"] = FIRST_INDEX_BITS
    rows[0]["fn_apply_rows"] = apply_order_rows.address
    book["market_orders"] = rows.ctypes.data
    return rows


_LEFT_OUT = {
    "unknown": "rows named an order that is not in the book",
    "duplicates": "rows added an order that is in the book",
    "sideless": "rows added an order without a side",
    "dropped": f"rows added an order for which there was no room: {MAX_MARKET_ORDERS:,} have",
}


def left_out_of_market_orders(book: Any) -> list[str]:
    """What a book record that is made from single orders had to leave out, as sentences; empty for other books."""
    if not book["market_orders"]:
        return []
    record = view(int(book["market_orders"]), market_orders_dtype)[0]
    return [f"{int(record[name]):,} {what}" for name, what in _LEFT_OUT.items() if record[name]]


def market_orders(record: Any) -> NDArray[Any]:
    """The orders that a `market_orders_dtype` record keeps: a copy, `market_order_dtype`, in no order."""
    if not record["used_slots"]:
        return np.empty(0, market_order_dtype)
    kept = view(int(record["pool"]), market_order_dtype, int(record["used_slots"]))
    return kept[kept["side"] != 0]
