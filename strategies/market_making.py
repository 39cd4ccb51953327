# pyright: basic
"""Market making with one order a side, around a price that leans against the inventory.

Model, for each asset on its own. All prices in ticks, `q` the position in orders (position / order_qty)::

    reservation = mid - skew_ticks * q
    bid = floor(reservation - half_spread_ticks), at most one tick below the best ask
    ask = ceil(reservation + half_spread_ticks), at least one tick above the best bid

Being long lowers both quotes, so that selling becomes likelier than buying; the linear lean is the
first-order form of the optimal one in Avellaneda and Stoikov, "High-frequency trading in a limit order book"
(2008).

An order's id is its price in ticks: a quote whose price did not change is kept, with its place in the queue,
and one that is no longer wanted is cancelled. Orders that are still being cancelled count as if they could
fill, so the position stays within `max_position` whatever the latency.
"""

from typing import Annotated

import numpy as np
from numba import njit

from hftd import BUY, GTX, INVALID_MAX, INVALID_MIN, LIMIT, Range
from hftd.rows import Tick


@njit(nogil=True)
def has_book(depth):
    """Whether there is a bid and an ask, and they are not crossed."""
    bid = depth.best_bid_tick
    ask = depth.best_ask_tick
    return bid != INVALID_MIN and ask != INVALID_MAX and bid < ask


@njit(nogil=True)
def cancel_all(hbt, asset_no: int):
    """Cancel whatever can be cancelled."""
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.cancellable:
            hbt.cancel(asset_no, order.order_id, False)


@njit(nogil=True)
def quote(hbt, asset_no: int, bid_tick: Tick, ask_tick: Tick, order_qty: float, max_position: float):
    """Have one order at `bid_tick` and one at `ask_tick`, as far as the position allows, and no others."""
    depth = hbt.depth(asset_no)
    tick_size = depth.tick_size
    tolerance = 0.5 * depth.lot_size
    position = hbt.position(asset_no)
    may_buy = position + order_qty <= max_position + tolerance
    may_sell = position - order_qty >= -max_position - tolerance
    open_buy_qty = 0.0
    open_sell_qty = 0.0
    values = hbt.orders(asset_no).values()
    while values.has_next():
        order = values.get()
        if order.side == BUY:
            open_buy_qty += order.leaves_qty
            wanted = may_buy and order.price_tick == bid_tick
        else:
            open_sell_qty += order.leaves_qty
            wanted = may_sell and order.price_tick == ask_tick
        if not wanted and order.cancellable:
            hbt.cancel(asset_no, order.order_id, False)
    orders = hbt.orders(asset_no)
    # What is open, also what is being cancelled, may still fill.
    if position + open_buy_qty + order_qty <= max_position + tolerance and bid_tick > 0:
        if bid_tick not in orders:
            hbt.submit_buy_order(asset_no, bid_tick, bid_tick * tick_size, order_qty, GTX, LIMIT, False)
    if position - open_sell_qty - order_qty >= -max_position - tolerance:
        if ask_tick not in orders:
            hbt.submit_sell_order(asset_no, ask_tick, ask_tick * tick_size, order_qty, GTX, LIMIT, False)


@njit(nogil=True)
def market_making(
    hbt,
    half_spread_ticks: Annotated[float, Range(gt=0)] = 8.0,
    skew_ticks: Annotated[float, Range(ge=0)] = 2.0,
    order_qty: Annotated[float, Range(gt=0)] = 0.01,
    max_position: Annotated[float, Range(ge=0)] = 0.1,
    interval_ns: Annotated[int, Range(gt=0)] = 10_000_000,
):
    """Quote both sides of every asset, one order a side, around a price that leans against the position.

    Market: any number of assets, each for itself.

    Args:
        hbt: The backtest or the bot.
        half_spread_ticks (ticks): Distance of each quote from the reservation price, above 0.
        skew_ticks (ticks): How far each order's worth of position moves the reservation price.
        order_qty (base currency or contracts): Quantity of each order.
        max_position (base currency or contracts): The position stays within plus and minus this.
        interval_ns (ns): Time between two looks at the market.
    """
    if not (half_spread_ticks > 0.0 and order_qty > 0.0 and interval_ns > 0):
        return
    while hbt.elapse(interval_ns) == 0:
        for asset_no in range(hbt.num_assets):
            hbt.clear_inactive_orders(asset_no)
            depth = hbt.depth(asset_no)
            if not has_book(depth):
                cancel_all(hbt, asset_no)
                continue
            mid_tick = 0.5 * (depth.best_bid_tick + depth.best_ask_tick)
            reservation_tick = mid_tick - skew_ticks * hbt.position(asset_no) / order_qty
            bid_tick = min(int(np.floor(reservation_tick - half_spread_ticks)), depth.best_ask_tick - 1)
            ask_tick = max(int(np.ceil(reservation_tick + half_spread_ticks)), depth.best_bid_tick + 1)
            quote(hbt, asset_no, bid_tick, ask_tick, order_qty, max_position)
