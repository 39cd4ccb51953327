"""What `hbt` hands out to Python: orders, books and accounts as views of the memory that compiled code uses.

A view costs nothing to keep and is never stale: it shows what the local side knows now.
"""

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd.book.book import far_qty, write_levels
from hftd.compiled.layout import asset_dtype, book_dtype, level_dtype, offset_of, order_dtype
from hftd.errors import OrderError
from hftd.hbt import arguments, session
from hftd.hbt.types import depth_type, order_type, orders_type, state_values_type, values_type
from hftd.hbt.typing import python_class
from hftd.types import (
    BUY,
    BUY_EVENT,
    DEPTH_SNAPSHOT_EVENT,
    EXCH_EVENT,
    INVALID_MAX,
    INVALID_MIN,
    LOCAL_EVENT,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    SELL,
    SELL_EVENT,
    event_dtype,
    state_values_dtype,
)

_FIRST_CURSOR = offset_of(asset_dtype, "orders.cursors")
_CURSORS = 8
"""How many iterators over the orders of an asset keep their place at a time (`orders_dtype`)."""


def view(address: int, dtype: np.dtype[Any], count: int = 1) -> NDArray[Any]:
    """The memory at an address as an array of records, without a copy."""
    buffer: Any = (ctypes.c_uint8 * (dtype.itemsize * count)).from_address(address)
    return np.frombuffer(buffer, dtype, count)


@python_class(order_type)
class Order:
    """One of the bot's orders, as the local side knows it. It follows the order: it is a view, not a copy."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = view(address, order_dtype)[0]

    def __getattr__(self, name: str) -> Any:
        if name in ("_row", "address") or name not in (order_dtype.names or ()):
            raise AttributeError(name)
        value = self._row[name].item()
        if name == "order_id":
            return value & 0xFFFF_FFFF_FFFF_FFFF
        return bool(value) if name == "maker" else value

    @property
    def price(self) -> float:
        """The order's price."""
        return float(self._row["price_tick"] * self._row["tick_size"])

    @property
    def exec_price(self) -> float:
        """The price of the last execution."""
        return float(self._row["exec_price_tick"] * self._row["tick_size"])

    @property
    def cancellable(self) -> bool:
        """Whether the order is in the market and no request for it is under way."""
        return bool(self._row["status"] in (NEW, PARTIALLY_FILLED) and self._row["req"] == NONE)

    def __repr__(self) -> str:
        side = "buy" if self.side == BUY else "sell"
        return f"Order({self.order_id} {side} {self.qty:g} at {self.price:g}, status {self.status}, req {self.req})"


@python_class(values_type)
class Values:
    """An iterator over an asset's orders, from the oldest to the newest.

    It goes on behind an order that is removed meanwhile, because the local side keeps its place, as it does for
    compiled strategies: the places of the eight iterators handed out last.
    """

    def __init__(self, address: int) -> None:
        self.address = address
        self._cursor = view(address, np.dtype(np.int64))

    def has_next(self) -> bool:
        """Whether `get` has an order to give."""
        return bool(self._cursor[0] != 0)

    def get(self) -> Order:
        """The next order; only after `has_next` said so.

        Raises:
            OrderError: There is none. In compiled code an order of id 0 and status NONE comes instead.
        """
        if not self.has_next():
            raise OrderError("there is no further order", hint="ask has_next() before get()")
        order = Order(int(self._cursor[0]))
        self._cursor[0] = order.next
        return order

    def next(self) -> Order | None:
        """The next order, or None."""
        return self.get() if self.has_next() else None

    def __iter__(self) -> Iterator[Order]:
        while self.has_next():
            yield self.get()


@python_class(orders_type)
class Orders:
    """An asset's orders by their ids."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = view(address, asset_dtype)[0]["orders"]

    def get(self, order_id: int) -> Order | None:
        """The order with that id, or None."""
        found = session.find.call(self.address, arguments.order_id(order_id))
        return Order(found) if found else None

    def values(self) -> Values:
        """An iterator from the oldest order to the newest."""
        turn = (int(self._row["cursor"]) + 1) % _CURSORS
        self._row["cursor"] = turn
        self._row["cursors"][turn] = self._row["first"]
        return Values(self.address + _FIRST_CURSOR + 8 * turn)

    def __contains__(self, order_id: int) -> bool:
        return session.find.call(self.address, arguments.order_id(order_id)) != 0

    def __len__(self) -> int:
        return int(self._row["count"])


@python_class(depth_type)
class Depth:
    """An asset's order book as the bot sees it."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = view(address, book_dtype)[0]

    @property
    def best_bid_tick(self) -> int:
        """The best bid in ticks; `INVALID_MIN` if there is none."""
        return int(self._row["best_bid_tick"])

    @property
    def best_ask_tick(self) -> int:
        """The best ask in ticks; `INVALID_MAX` if there is none."""
        return int(self._row["best_ask_tick"])

    @property
    def best_bid(self) -> float:
        """The best bid; NaN if there is none."""
        tick = self.best_bid_tick
        return float("nan") if tick == INVALID_MIN else tick * self.tick_size

    @property
    def best_ask(self) -> float:
        """The best ask; NaN if there is none."""
        tick = self.best_ask_tick
        return float("nan") if tick == INVALID_MAX else tick * self.tick_size

    @property
    def best_bid_qty(self) -> float:
        """The quantity at the best bid."""
        return self.bid_qty_at_tick(self.best_bid_tick)

    @property
    def best_ask_qty(self) -> float:
        """The quantity at the best ask."""
        return self.ask_qty_at_tick(self.best_ask_tick)

    @property
    def tick_size(self) -> float:
        """The smallest step of prices."""
        return float(self._row["tick_size"])

    @property
    def lot_size(self) -> float:
        """The smallest step of quantities."""
        return float(self._row["lot_size"])

    @property
    def roi_lb_tick(self) -> int:
        """The lowest tick of the range of interest."""
        return int(self._row["roi_lb_tick"])

    @property
    def roi_ub_tick(self) -> int:
        """The highest tick of the range of interest."""
        return int(self._row["roi_ub_tick"])

    @property
    def is_valid(self) -> bool:
        """Whether the book is to be trusted; False while it is synchronised, and when the feed is stale."""
        return int(self._row["not_valid"]) == 0

    def bid_qty_at_tick(self, price_tick: int) -> float:
        """The quantity of the bid level at a price in ticks, 0 if there is none."""
        return float(far_qty.call(self.address, BUY, arguments.whole(price_tick, "the tick")))

    def ask_qty_at_tick(self, price_tick: int) -> float:
        """The quantity of the ask level at a price in ticks, 0 if there is none."""
        return float(far_qty.call(self.address, SELL, arguments.whole(price_tick, "the tick")))

    def _side(self, field: str) -> NDArray[np.float64]:
        if self.roi_lb_tick == INVALID_MIN:
            return np.empty(0)
        return view(int(self._row[field]), np.dtype(np.float64), int(self._row["window_ticks"]))

    @property
    def bid_depth(self) -> NDArray[np.float64]:
        """Bid quantities by tick, from `roi_lb_tick` to `roi_ub_tick`; empty without a range of interest."""
        return self._side("bids")

    @property
    def ask_depth(self) -> NDArray[np.float64]:
        """Ask quantities by tick, as `bid_depth`."""
        return self._side("asks")

    def snapshot(self) -> NDArray[Any]:
        """The levels from the best outwards, bids first, as snapshot rows of `event_dtype` without times."""
        parts: list[NDArray[Any]] = []
        for side, flag in ((BUY, BUY_EVENT), (SELL, SELL_EVENT)):
            count = write_levels.call(self.address, side, 0, 0)
            levels = np.empty(count, level_dtype)
            write_levels.call(self.address, side, levels.ctypes.data, count)
            rows = np.zeros(count, event_dtype)
            rows["ev"] = EXCH_EVENT | LOCAL_EVENT | DEPTH_SNAPSHOT_EVENT | flag
            rows["px"] = levels["tick"] * self.tick_size
            rows["qty"] = levels["qty"]
            parts.append(rows)
        return np.concatenate(parts)

    def snapshot_free(self, arr: NDArray[Any]) -> None:
        """Nothing to do: a snapshot is a plain array."""


@python_class(state_values_type)
class StateValues:
    """An asset's position, balance (without fees), fees and trades so far."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = view(address, state_values_dtype)[0]

    def __getattr__(self, name: str) -> Any:
        if name in ("_row", "address") or name not in (self._row.dtype.names or ()):
            raise AttributeError(name)
        return self._row[name].item()
