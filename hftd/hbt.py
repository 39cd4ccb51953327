"""The object `hbt` as Python sees it: the same memory as compiled strategies, a little slower.

A plain Python strategy uses these objects; a compiled one is given only their address.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hftd import hbt_types, session
from hftd.arena import Arena
from hftd.book import far_qty
from hftd.errors import OrderError
from hftd.layout import (
    MAX_FAR_LEVELS,
    MAX_LAST_TRADES,
    MAX_ORDERS,
    WINDOW_TICKS,
    asset_dtype,
    offset_of,
    order_dtype,
    recorder_dtype,
    session_dtype,
)
from hftd.orders import FIRST_INDEX_BITS, INDEX_BYTES
from hftd.types import (
    BUY,
    INVALID_MAX,
    INVALID_MIN,
    NEW,
    NONE,
    PARTIALLY_FILLED,
    SELL,
    event_dtype,
    fill_dtype,
    record_dtype,
)

_NO_TIME = INVALID_MAX


def _view(address: int, dtype: np.dtype[Any], count: int = 1) -> NDArray[Any]:
    """The memory at an address as an array of records, without a copy."""
    import ctypes

    buffer = (ctypes.c_uint8 * (dtype.itemsize * count)).from_address(address)
    return np.frombuffer(buffer, dtype, count)


@hbt_types.python_class(hbt_types.order_type)
class Order:
    """One of the bot's orders, as the local side knows it. It follows the order: it is a view, not a copy."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = _view(address, order_dtype)[0]

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


@hbt_types.python_class(hbt_types.values_type)
class Values:
    """An iterator over an asset's orders, from the oldest to the newest."""

    def __init__(self, first: int) -> None:
        self._cursor = np.array([first], np.int64)
        self.address = int(self._cursor.ctypes.data)

    def has_next(self) -> bool:
        """Whether `get` has an order to give."""
        return bool(self._cursor[0] != 0)

    def get(self) -> Order:
        """The next order; only after `has_next` said so."""
        order = Order(int(self._cursor[0]))
        self._cursor[0] = order.next
        return order

    def next(self) -> Order | None:
        """The next order, or None."""
        return self.get() if self.has_next() else None

    def __iter__(self) -> Iterator[Order]:
        while self.has_next():
            yield self.get()


@hbt_types.python_class(hbt_types.orders_type)
class Orders:
    """An asset's orders by their ids."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._row = _view(address, asset_dtype)[0]["orders"]

    def get(self, order_id: int) -> Order | None:
        """The order with that id, or None."""
        found = session.find.call(self.address, _signed(order_id))
        return Order(found) if found else None

    def values(self) -> Values:
        """An iterator from the oldest order to the newest."""
        return Values(int(self._row["first"]))

    def __contains__(self, order_id: int) -> bool:
        return session.find.call(self.address, _signed(order_id)) != 0

    def __len__(self) -> int:
        return int(self._row["count"])


@hbt_types.python_class(hbt_types.depth_type)
class Depth:
    """An asset's order book as the bot sees it."""

    def __init__(self, address: int) -> None:
        from hftd.layout import book_dtype

        self.address = address
        self._row = _view(address, book_dtype)[0]

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

    def bid_qty_at_tick(self, price_tick: int) -> float:
        """The quantity of the bid level at a price in ticks, 0 if there is none."""
        return float(far_qty.call(self.address, BUY, price_tick))

    def ask_qty_at_tick(self, price_tick: int) -> float:
        """The quantity of the ask level at a price in ticks, 0 if there is none."""
        return float(far_qty.call(self.address, SELL, price_tick))


@hbt_types.python_class(hbt_types.state_values_type)
class StateValues:
    """An asset's position, balance (without fees), fees and trades so far."""

    def __init__(self, address: int) -> None:
        from hftd.types import state_values_dtype

        self.address = address
        self._row = _view(address, state_values_dtype)[0]

    def __getattr__(self, name: str) -> Any:
        if name in ("_row", "address") or name not in (self._row.dtype.names or ()):
            raise AttributeError(name)
        return self._row[name].item()


def _signed(order_id: int) -> int:
    """An order id as the int64 with the same bits."""
    order_id = int(order_id) & 0xFFFF_FFFF_FFFF_FFFF
    return order_id - (1 << 64) if order_id >> 63 else order_id


class AssetSpec:
    """What the local side must know of an asset.

    Args:
        tick_size: The smallest step of prices, positive.
        lot_size: The smallest step of quantities, positive.
        last_trades_capacity: How many trades `last_trades` may hold; 0 to keep none.
        roi: The lowest and highest price of interest; levels outside it are ignored.
        name: The asset in messages.
    """

    def __init__(
        self,
        tick_size: float,
        lot_size: float,
        last_trades_capacity: int = 0,
        roi: tuple[float, float] | None = None,
        name: str = "",
    ) -> None:
        where = f"asset {name}" if name else "asset"
        for what, size in (("tick_size", tick_size), ("lot_size", lot_size)):
            if not (size > 0.0 and np.isfinite(size)):
                raise OrderError(
                    f"{what} is {size!r}, but must be a positive number", where=where, hint=f"set {what} as the exchange states it"
                )
        if last_trades_capacity < 0:
            raise OrderError(f"last_trades_capacity is {last_trades_capacity}, but can't be negative", where=where)
        self.tick_size = float(tick_size)
        self.lot_size = float(lot_size)
        self.last_trades_capacity = min(int(last_trades_capacity), MAX_LAST_TRADES)
        self.name = name
        self.roi_lb_tick, self.roi_ub_tick = INVALID_MIN, INVALID_MAX
        if roi is not None:
            lower, upper = (round(price / tick_size) for price in roi)
            if lower >= upper:
                raise OrderError(
                    f"the range of interest {roi} is empty", where=where, hint="its lower bound comes first"
                )
            self.roi_lb_tick, self.roi_ub_tick = lower, upper


def fill_book(row: Any, spec: AssetSpec, arena: Arena) -> None:
    """Set up the memory of a book record."""
    row["tick_size"] = spec.tick_size
    row["lot_size"] = spec.lot_size
    row["best_bid_tick"], row["best_ask_tick"] = INVALID_MIN, INVALID_MAX
    for side in ("bid", "ask"):
        row[f"{side}s"] = arena.reserve(8 * WINDOW_TICKS)
        row[f"low_{side}_tick"], row[f"high_{side}_tick"] = INVALID_MAX, INVALID_MIN
        row[f"far_{side}_ticks"] = arena.reserve(8 * MAX_FAR_LEVELS)
        row[f"far_{side}_qtys"] = arena.reserve(8 * MAX_FAR_LEVELS)
    row["roi_lb_tick"], row["roi_ub_tick"] = spec.roi_lb_tick, spec.roi_ub_tick
    row["fn_far_qty"] = far_qty.address


def fill_orders(row: Any, arena: Arena, record_bytes: int = order_dtype.itemsize) -> None:
    """Set up the memory of a table of orders."""
    row["pool"] = arena.reserve(record_bytes * MAX_ORDERS)
    row["index"]["entries"] = arena.reserve(INDEX_BYTES)
    row["index"]["spare"] = arena.reserve(INDEX_BYTES)
    row["index"]["bits"] = FIRST_INDEX_BITS


@hbt_types.python_class(hbt_types.hbt_type)
class Hbt:
    """What a strategy is given: the market, the orders, the clock.

    A backtest and a bot are both one of these; they differ in what stands behind it.
    All durations and times are in nanoseconds.
    """

    MAX_FILLS = 1 << 24
    MAX_RECORDS = 1 << 24

    def __init__(self, specs: list[AssetSpec]) -> None:
        if not specs:
            raise OrderError("there is no asset", hint="give at least one")
        self._arena = Arena()
        self._specs = specs
        self._assets = self._arena.records(asset_dtype, len(specs))
        for asset_no, (row, spec) in enumerate(zip(self._assets, specs, strict=True)):
            fill_book(row["book"], spec, self._arena)
            fill_orders(row["orders"], self._arena)
            row["asset_no"] = asset_no
            row["trades_cap"] = spec.last_trades_capacity
            row["trades"] = self._arena.reserve(event_dtype.itemsize * spec.last_trades_capacity)
            row["fn_find_order"] = session.find.address
        self._session = self._arena.records(session_dtype, 1)
        row = self._session[0]
        row["now_ns"] = _NO_TIME
        row["num_assets"] = len(specs)
        row["assets"] = self._assets.ctypes.data
        row["record_next_ns"] = INVALID_MAX
        for name, function in session.TABLE.items():
            row[name] = function.address
        self._recorder: Any = None
        self.address = int(self._session.ctypes.data)

    # The market and the account.

    @property
    def current_timestamp(self) -> int:
        """The time of the strategy's clock."""
        return int(self._session["now_ns"][0])

    @property
    def num_assets(self) -> int:
        """How many assets there are; they are numbered from 0."""
        return len(self._specs)

    def _asset(self, asset_no: int) -> int:
        if not 0 <= asset_no < len(self._specs):
            raise IndexError(f"there is no asset {asset_no}: the bot has {len(self._specs)}")
        return int(self._assets.ctypes.data) + asset_no * asset_dtype.itemsize

    def depth(self, asset_no: int) -> Depth:
        """The order book of an asset."""
        return Depth(self._asset(asset_no) + offset_of(asset_dtype, "book"))

    def orders(self, asset_no: int) -> Orders:
        """The orders of an asset by id."""
        return Orders(self._asset(asset_no))

    def position(self, asset_no: int) -> float:
        """The position in an asset: positive if long."""
        self._asset(asset_no)
        return float(self._assets[asset_no]["state"]["position"])

    def state_values(self, asset_no: int) -> StateValues:
        """Position, balance, fees and trades of an asset."""
        return StateValues(self._asset(asset_no) + offset_of(asset_dtype, "state"))

    def last_trades(self, asset_no: int) -> NDArray[Any]:
        """The trades since `clear_last_trades`, shape (n,), `event_dtype`; a view that the next wait changes."""
        self._asset(asset_no)
        row = self._assets[asset_no]
        if row["trades_len"] == 0:
            return np.empty(0, event_dtype)
        return _view(int(row["trades"]), event_dtype, int(row["trades_len"]))

    def feed_latency(self, asset_no: int) -> tuple[int, int] | None:
        """The last feed's exchange and local time, None before the first."""
        self._asset(asset_no)
        row = self._assets[asset_no]
        return (int(row["feed_exch_ts"]), int(row["feed_local_ts"])) if row["feed_seen"] else None

    def order_latency(self, asset_no: int) -> tuple[int, int, int] | None:
        """The last answer's request, exchange and receipt time, None before the first."""
        self._asset(asset_no)
        row = self._assets[asset_no]
        if not row["order_seen"]:
            return None
        return int(row["order_req_ts"]), int(row["order_exch_ts"]), int(row["order_resp_ts"])

    # Time and requests. The codes are those of `hftd.types`.

    def elapse(self, duration: float) -> int:
        """Let time pass. Returns 0, or 1 at the end of the data or when the bot is told to stop."""
        return session.elapse.call(self.address, int(duration))

    elapse_bt = elapse

    def wait_next_feed(self, include_order_resp: bool, timeout: float) -> int:
        """Wait for market data. Returns 0 on timeout, 1 at the end, 2 for a feed, 3 for an answer to an order."""
        return session.wait_next_feed.call(self.address, int(include_order_resp), int(timeout))

    def wait_order_response(self, asset_no: int, order_id: int, timeout: float) -> int:
        """Wait for the answer to an order's request. Returns 0 on it and on timeout, 1 at the end."""
        return session.wait_order_response.call(self.address, asset_no, _signed(order_id), int(timeout))

    def submit_buy_order(
        self,
        asset_no: int,
        order_id: int,
        price: float,
        qty: float,
        time_in_force: int,
        order_type: int,
        wait: bool,
    ) -> int:
        """Send a buy order. Returns 0, 1 at the end of the data if it waits, or an error code."""
        return session.submit.call(
            self.address, asset_no, _signed(order_id), BUY, price, qty, time_in_force, order_type, int(wait)
        )

    def submit_sell_order(
        self,
        asset_no: int,
        order_id: int,
        price: float,
        qty: float,
        time_in_force: int,
        order_type: int,
        wait: bool,
    ) -> int:
        """Send a sell order. Returns 0, 1 at the end of the data if it waits, or an error code."""
        return session.submit.call(
            self.address, asset_no, _signed(order_id), SELL, price, qty, time_in_force, order_type, int(wait)
        )

    def modify(self, asset_no: int, order_id: int, price: float, qty: float, wait: bool) -> int:
        """Ask for another price or quantity. Returns as `submit_buy_order`."""
        return session.modify.call(self.address, asset_no, _signed(order_id), price, qty, int(wait))

    def cancel(self, asset_no: int, order_id: int, wait: bool) -> int:
        """Ask to cancel an order. Returns as `submit_buy_order`."""
        return session.cancel.call(self.address, asset_no, _signed(order_id), int(wait))

    def clear_inactive_orders(self, asset_no: int) -> None:
        """Forget the orders that are expired, filled or canceled; `ALL_ASSETS` for every asset."""
        session.clear_inactive_orders.call(self.address, asset_no)

    def clear_last_trades(self, asset_no: int) -> None:
        """Empty `last_trades`; `ALL_ASSETS` for every asset."""
        session.clear_last_trades.call(self.address, asset_no)

    def _goto_end(self) -> int:
        return session.goto_end.call(self.address)

    def close(self) -> int:
        """Done with it. Returns 0."""
        return session.close.call(self.address)

    # Recording, by the runtime.

    def record_every(self, interval_ns: int) -> None:
        """Keep a row of state for each asset, at the first wake in each interval, and every fill."""
        self._recorder = RecorderMemory(self.num_assets, self.MAX_RECORDS // self.num_assets)
        row = self._session[0]
        row["record"] = self._recorder.address
        row["record_interval_ns"] = interval_ns
        row["record_next_ns"] = INVALID_MIN
        for asset in self._assets:
            asset["fills_cap"] = self.MAX_FILLS // self.num_assets
            asset["fills"] = self._arena.reserve(fill_dtype.itemsize * int(asset["fills_cap"]))

    def records(self) -> NDArray[Any]:
        """What `record_every` kept, shape (n, num_assets), `record_dtype`; the last row is of now."""
        if self._recorder is None:
            return np.empty((0, self.num_assets), record_dtype)
        rows = self._recorder.rows()
        if self.current_timestamp != _NO_TIME:
            last = RecorderMemory(self.num_assets, 1)
            session.record.call(last.address, self.address)
            if not len(rows) or rows[-1].tobytes() != last.rows()[0].tobytes():
                rows = np.concatenate([rows, last.rows()])
        return rows

    def fills(self) -> NDArray[Any]:
        """Every execution that the local side was told of, in time order, shape (n,), `fill_dtype`."""
        parts = [
            _view(int(asset["fills"]), fill_dtype, int(asset["fills_len"])).copy()
            for asset in self._assets
            if asset["fills_len"]
        ]
        if not parts:
            return np.empty(0, fill_dtype)
        rows = np.concatenate(parts)
        return rows[np.argsort(rows["timestamp"], kind="stable")]


class RecorderMemory:
    """The rows that a recorder fills in compiled code.

    Args:
        num_assets: Columns.
        record_size: How many rows it may hold; more are counted, not kept.
    """

    def __init__(self, num_assets: int, record_size: int) -> None:
        self._arena = Arena()
        self.num_assets = num_assets
        row = self._arena.records(recorder_dtype, 1)
        self._row = row[0]
        row["records"] = self._arena.reserve(record_dtype.itemsize * num_assets * record_size)
        row["num_assets"] = num_assets
        row["cap"] = record_size
        row["fn_record"] = session.record.address
        self.address = int(row.ctypes.data)

    def rows(self) -> NDArray[Any]:
        """What was recorded, shape (n, num_assets), `record_dtype`."""
        count = int(self._row["len"])
        if count == 0:
            return np.empty((0, self.num_assets), record_dtype)
        return _view(int(self._row["records"]), record_dtype, count * self.num_assets).reshape(count, -1).copy()

    @property
    def dropped(self) -> int:
        """Rows that did not fit."""
        return int(self._row["dropped"])
